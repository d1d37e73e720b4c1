"""An attempt of a job on a machine that shares nothing with the job's worker but the storage.

What the job needs is brought here, to a run folder that is this attempt's alone; what is written into it is published, and
what the worker writes for it (`training.storage.orders`) is brought to it. While the storage does not answer, it trains on.
"""

import argparse
import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from training.attempts import Attempt
from training.invariance_config import InvarianceJob
from training.runs import Work, place_run, work_of
from training.storage import datasets
from training.storage.answering import Answering
from training.storage.cache import Cache, Kept, keep, removed
from training.storage.orders import Order, newest_order, write_files
from training.storage.places import StorageUnavailable, open_storage
from training.storage.runs import Publisher, bring, newest_state, restore

log = logging.getLogger(__name__)

PERIOD, LOOK = 2.0, 1.0
"""Seconds between two publications, and between two looks for what the worker says."""

PATIENCE = 300.0
"""Seconds for which a storage is waited for that has yet to answer."""


class Far(NamedTuple):
    """Where machines that share a storage find it, and where they keep what is theirs."""

    storage: str
    """URL, which with what their environment says leads all of them there."""
    home: str
    """Folder of each: run folders in `runs/`, data sets that are downloaded in `data/`, copies in `fetched/`; ~ is that of
    who runs Ray."""
    most_bytes: int
    """That the copies on each have, about."""


class Told(Exception):
    """This process was asked to end."""


class Hosted:
    """See above.

    Args:
        far: where what lies.
        job_id, attempt: of which job.
        folder: to have the run folder.
        told: set where this process was asked to end.
    """

    def __init__(self, far: Far, job_id: str, attempt: int, folder: Path, told: threading.Event) -> None:
        self.storage, self.home = open_storage(far.storage), _home(far)
        self.job_id, self.attempt, self.run, self.told = job_id, attempt, folder / job_id, told
        self.publisher = Publisher(self.storage, job_id, self.run, attempt)
        self._cache = Cache(self.home / "fetched", far.most_bytes)
        self._kept: list[Kept] = []
        self._answering, self._due = Answering(), 0.0

    def bring(self) -> None:
        """Make the run folder one that goes on from the last state.

        Raises:
            Fenced: this attempt is not wanted any more.
            StorageUnavailable: it does not answer for long.
            ValueError: what the job reads has been deleted.
            Told: the process was asked to end.
        """
        self.until_it_answers(self._bring, PATIENCE)

    def join(self) -> None:
        """Make the run folder what the first of several processes has begun with; raises as `bring` does."""
        self.until_it_answers(self._join, PATIENCE)

    def exchange(self) -> None:
        """Hear what the worker says, and publish what is new, as far as the storage answers.

        Raises:
            Fenced: this attempt is not wanted any more.
        """
        self._answering.once(self._hear)
        if time.monotonic() >= self._due:
            self._answering.once(lambda: self.publisher.publish(sign=True))
            self._due = time.monotonic() + PERIOD

    def finish(self) -> None:
        """Publish all of it, however long the storage does not answer; raises as `bring` does."""
        self.until_it_answers(lambda: self.publisher.publish(whole=True))

    def until_it_answers(self, work: Callable[[], None], patience: float = float("inf")) -> None:
        until = time.monotonic() + patience
        while True:
            try:
                work()
                return self._answering.say("")
            except StorageUnavailable as error:
                self._answering.say(str(error))
                if time.monotonic() >= until:
                    raise
                if self.told.wait(LOOK):
                    raise Told from None

    def _bring(self) -> None:
        while (order := newest_order(self.storage, self.job_id, self.attempt)) is None:
            if self.told.wait(LOOK):  # the worker has yet to say it
                raise Told
        self.run.mkdir(exist_ok=True)
        self._obey(order)
        restore(self.storage, self.job_id, self.run, self.attempt)
        place_run(self.run, self._placed(order))
        self._obey(order)

    def _join(self) -> None:
        while (state := newest_state(self.storage, self.job_id)) is None or state.attempt < self.attempt:
            if self.told.wait(LOOK):
                raise Told
        order = newest_order(self.storage, self.job_id, self.attempt)
        assert order is not None, "the first process has seen it"
        try:
            bring(self.storage, state, self.run, self.attempt)
        except FileNotFoundError as error:
            raise StorageUnavailable("it was published anew meanwhile") from error
        place_run(self.run, self._placed(order))
        self._obey(order)

    def _hear(self) -> None:
        order = newest_order(self.storage, self.job_id, self.attempt)
        if order is not None:
            self._obey(order)

    def _obey(self, order: Order) -> None:
        """Give the training what the worker says."""
        write_files(self.run, order.files)
        Attempt(self.run, self.attempt).check()

    def _placed(self, order: Order) -> Work:
        """The work with the paths of this machine, to which what it reads is brought."""
        work, known = work_of(order.config), str(self.home / "data")
        if isinstance(work, InvarianceJob):
            work = dataclasses.replace(work, root=known, file=str(self._model(work.name, work.version)))
        else:
            work = dataclasses.replace(work, data=dataclasses.replace(work.data, root=known))
        if order.dataset is None:
            return work
        here = datasets.keep(self.storage, self._cache, order.dataset)
        self._kept.append(here.kept)
        return here.given_to(work)

    def _model(self, name: str, version: int) -> Path:
        key = f"models/{name}/{version}.safetensors"
        try:
            stat = self.storage.stat(key)
        except FileNotFoundError:
            raise ValueError(f"version {version} of the model {name} has been deleted") from None
        place = f"models/{name}-{version}-{stat.modified:.0f}-{stat.size}.safetensors"
        self._kept.append(self._cache.keep(place, stat.size, lambda path: self.storage.fetch(key, path, stat.size)))
        return self._kept[-1].path


@contextlib.contextmanager
def hosted(far: Far, job_id: str, attempt: int, told: threading.Event, rank: int = 0) -> Iterator[Hosted]:
    """One with a folder for this process alone, which is gone at the end; those of processes that are gone are removed."""
    runs = _home(far) / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for path in runs.iterdir():
        removed(path)
    folder = runs / f"{job_id}-{attempt}-{rank}"
    while (kept := keep(folder)) is None:
        folder.mkdir(exist_ok=True)
    try:
        yield Hosted(far, job_id, attempt, folder, told)
    finally:
        kept.release()
        removed(folder)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Let a command be told of `Far`."""
    parser.add_argument("--storage", metavar="URL", help="where all machines find what they share")
    parser.add_argument("--home", default="~/.cache/stn", help="folder of each for run folders, data sets and copies")
    parser.add_argument("--most-bytes", type=int, default=20 * 2**30, metavar="N", help="bytes of the copies, about")


def _home(far: Far) -> Path:
    return Path(far.home).expanduser().absolute()
