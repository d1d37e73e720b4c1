"""What requests and commands may change in the data sets: add one, delete one."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import CancelScope, to_thread
from starlette.requests import ClientDisconnect

from service.datasets.checking import Checking
from service.datasets.schemas import DatasetReport
from service.datasets.store import DELETED, KNOWN, UPLOAD, Dataset, Datasets, open_datasets
from service.datasets.task import Task
from service.disk_problems import explained
from service.jobs.database import JobDatabase
from service.models.own_thread import in_own_thread
from service.problems import Problem
from service.settings import Settings
from training.hidden import new_place, remove_abandoned

log = logging.getLogger(__name__)

_LONGEST = 3600.0
"""Seconds that a check may take."""
_GLANCE = 0.25
"""Seconds between looks at whether anybody still waits for it."""
_MOST_JOBS = 10
"""That a refusal names."""

Fill = Callable[[Path], Awaitable[None]]
"""Writes the upload to this path."""


class DatasetChanges:
    """Changes the data sets of a home folder."""

    def __init__(self, settings: Settings, jobs: JobDatabase) -> None:
        self.store = open_datasets(settings)
        self._settings = settings
        self._jobs = jobs
        self._checking = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Delete what killed processes left: on this disk now, on shared storage while requests are answered."""
        await to_thread.run_sync(remove_abandoned, self.store.root, UPLOAD, DELETED)
        self._sweeping = asyncio.create_task(in_own_thread(self.store.sweep))

    async def add(self, name: str, fill: Fill, is_unwanted: Callable[[], Awaitable[bool]]) -> DatasetReport:
        """The report on a new data set, which is there when this returns.

        Args:
            name: of the data set.
            fill: writes the upload.
            is_unwanted: whether nobody waits for the answer any more.

        Raises:
            Problem: 409 where there is one of that name, 422 where the upload is refused.
        """
        if name in KNOWN:
            raise Problem(422, f"the name must not be one that training knows ({', '.join(KNOWN)}), got {name!r}")
        await to_thread.run_sync(self._check_new, name)
        async with self._place(UPLOAD) as place:
            with explained("datasets"):
                await fill(place / "file")
            async with self._checking:  # one at a time, for the memory
                await self._check(name, place, is_unwanted)
            try:
                with explained("datasets"):
                    await to_thread.run_sync(self.store.put, place / "set", name)
            except FileExistsError:
                await to_thread.run_sync(self._check_new, name)
                raise Problem(409, f"something that is no data set lies at datasets/{name}") from None
        return await to_thread.run_sync(lambda: read_report(self.store, self.find(name)))

    async def delete(self, name: str) -> None:
        """Delete a data set.

        Raises:
            Problem: 404 where there is none, 409 where a job uses it that has not ended.
        """
        await to_thread.run_sync(self.find, name)
        await self._check_unused(name)
        with self.store.hold_alone(name) as is_alone:  # no job is created with it from here on
            found = await to_thread.run_sync(self.find, name)
            if not is_alone:
                raise Problem(409, f"another request uses or deletes data set {name}: try again", {"Retry-After": "1"})
            await self._check_unused(name)
            async with self._place(DELETED) as place:
                with explained("datasets"):
                    await to_thread.run_sync(self.store.remove, found, place / "set")

    def find(self, name: str) -> Dataset:
        """The data set of this name.

        Raises:
            Problem: 404 where there is none.
        """
        found = self.store.find(name)
        if found is None:
            raise Problem(404, f"there is no data set {name!r}")
        return found

    def _check_new(self, name: str) -> None:
        if self.store.find(name):
            raise Problem(409, f"there is a data set {name!r} already: delete it first to replace it")

    async def _check_unused(self, name: str) -> None:
        ids = await self._jobs.ask(lambda jobs: jobs.jobs_using(name)) if self._jobs.may_have_jobs else []
        if ids:
            more = f" and {len(ids) - _MOST_JOBS:,} more" if len(ids) > _MOST_JOBS else ""
            using = f"{', '.join(ids[:_MOST_JOBS])}{more}"
            raise Problem(409, f"jobs use data set {name} that have not ended: {using}; cancel them first")

    @asynccontextmanager
    async def _place(self, prefix: str) -> AsyncIterator[Path]:
        """A hidden folder, gone at the end; it is made and deleted beside the event loop."""
        with contextlib.ExitStack() as stack:
            with explained("datasets"):
                place = await to_thread.run_sync(stack.enter_context, new_place(self.store.root, prefix))
            try:
                yield place
            finally:
                with CancelScope(shield=True):
                    await to_thread.run_sync(stack.close)

    async def _check(self, name: str, place: Path, is_unwanted: Callable[[], Awaitable[bool]]) -> None:
        task = Task(
            file=str(place / "file"),
            folder=str(place / "set"),
            name=name,
            max_images=self._settings.max_dataset_images,
            max_unpacked_bytes=self._settings.max_dataset_unpacked_bytes,
        )
        checking = Checking(task)
        running = asyncio.ensure_future(in_own_thread(checking.run))
        until = asyncio.get_running_loop().time() + _LONGEST
        try:
            while not (await asyncio.wait({running}, timeout=_GLANCE))[0]:
                if await is_unwanted():
                    raise ClientDisconnect
                if asyncio.get_running_loop().time() > until:
                    raise Problem(422, f"the data set is refused: checking it takes more than {_LONGEST:,.0f} seconds")
        finally:
            if not running.done():  # nobody waits for it any more
                with CancelScope(shield=True):
                    checking.end()
                    await asyncio.wait({running})
        await running


def read_report(store: Datasets, dataset: Dataset) -> DatasetReport:
    """What is known of a data set.

    Raises:
        Problem: 404 where it was deleted meanwhile.
    """
    try:
        return DatasetReport.model_validate_json(store.report(dataset))
    except FileNotFoundError:
        raise Problem(404, f"there is no data set {dataset.name!r}") from None


def read_reports(store: Datasets) -> list[DatasetReport]:
    """What is known of all of them; what cannot be read is named in the log and left out."""
    reports = []
    for dataset in store.list():
        try:
            reports.append(read_report(store, dataset))
        except Problem:  # deleted meanwhile
            continue
        except (ValueError, OSError) as error:
            log.warning("data set %s cannot be read: %s", dataset.name, error)
    return reports
