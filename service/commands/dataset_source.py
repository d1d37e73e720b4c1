"""Where `stn datasets` finds data sets: at a service or, without one, in the home folder."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from anyio import to_thread

from service.client import Client
from service.client.dataset_files import DatasetBody, Progress
from service.datasets.changes import DatasetChanges, read_report
from service.datasets.listing import describe_datasets
from service.datasets.schemas import DatasetReport, Datasets
from service.datasets.store import is_name
from service.jobs.database import JobDatabase
from service.settings import ClientSettings, Settings
from stn.config import require

T = TypeVar("T")


@runtime_checkable
class DatasetSource(Protocol):
    """Data sets, wherever they are; a `Client` is one."""

    def upload_dataset(self, name: str, path: Path, *, progress: Progress | None = None) -> DatasetReport: ...

    def datasets(self) -> Datasets: ...

    def dataset(self, name: str) -> DatasetReport: ...

    def dataset_sheet(self, name: str) -> bytes: ...

    def delete_dataset(self, name: str) -> None: ...

    def close(self) -> None: ...


def dataset_source(address: tuple[str | None, str | None], settings: Settings) -> DatasetSource:
    """The service at this URL, with this key, or at STN_URL; without either, the home folder."""
    environment = ClientSettings()
    url, key = address
    url = url or environment.url
    if not url:
        return LocalDatasets(settings)
    return Client(url, key or environment.key.get_secret_value() or None)


class LocalDatasets:
    """Those of the home folder, with or without a service that runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def upload_dataset(self, name: str, path: Path, *, progress: Progress | None = None) -> DatasetReport:
        require(is_name(name), "name", "1 to 64 letters, digits, _ or -, and none that training knows", name)
        body = DatasetBody(path, progress)

        async def fill(file: Path) -> None:
            await to_thread.run_sync(_write, file, body())

        return self._change(lambda changes: changes.add(name, fill, _never))

    def datasets(self) -> Datasets:
        return describe_datasets(DatasetChanges(self._settings, JobDatabase(self._settings)).store)

    def dataset(self, name: str) -> DatasetReport:
        changes = DatasetChanges(self._settings, JobDatabase(self._settings))
        return read_report(changes.store, changes.find(name))

    def dataset_sheet(self, name: str) -> bytes:
        changes = DatasetChanges(self._settings, JobDatabase(self._settings))
        return changes.store.sheet(changes.find(name))

    def delete_dataset(self, name: str) -> None:
        self._change(lambda changes: changes.delete(name))

    def close(self) -> None:
        """Nothing is kept open."""

    def _change(self, change: Callable[[DatasetChanges], Awaitable[T]]) -> T:
        async def run() -> T:
            jobs = JobDatabase(self._settings)
            try:
                return await change(DatasetChanges(self._settings, jobs))
            finally:
                await to_thread.run_sync(jobs.close)

        return asyncio.run(run())


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)


async def _never() -> bool:
    """Whoever started the command waits for it."""
    return False
