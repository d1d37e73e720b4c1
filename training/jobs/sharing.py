"""What a worker does with shared storage for one of its jobs, in a thread of its own: its loop never waits for the storage.

First the run folder is brought to its last state and what the training reads to this machine; while the process runs, the
run folder is published every few seconds; once it has ended, for the last time, and then its model is registered. Whatever
the storage does not answer is tried again.

Where the process is on another machine, which publishes (`training.ray_host`), the worker's run folder is one to look at: it
is brought to what was published, and what the worker writes into it goes the other way, as an order.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from training.attempts import Fenced
from training.jobs.job import Job
from training.runs import Work
from training.storage.answering import Answering
from training.storage.orders import Order, put_order, read_files
from training.storage.places import Storage, StorageUnavailable
from training.storage.runs import Publisher, content, look, own_content, restore

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two publications."""
PAUSE = 1.0
"""Seconds until the storage is asked again that did not answer."""


class Placed(NamedTuple):
    """Work with the paths of this machine."""

    work: Work
    kept: object
    """Keeps what they name from being deleted."""


class Shared(NamedTuple):
    """The storage that workers of several machines share."""

    storage: Storage
    place: Callable[[Job], Placed] | None
    """Brings what a job reads to this machine; None where jobs are trained on others, which bring it to themselves."""


class Sharing:
    """See above.

    Args:
        shared: the storage.
        job: as it was claimed or taken over.
        run: its folder on this machine.
        is_here: the run folder has its files, and a process may be running in it.
    """

    def __init__(self, shared: Shared, job: Job, run: Path, is_here: bool = False) -> None:
        self.shared, self.job, self.run = shared, job, run
        self.placed: Placed | None = None
        self.is_brought = is_here
        self.is_closed = False
        self.error: Exception | None = None
        self._version: int | None = None
        self._order: Order | None = None
        self._answering = Answering(f"job {job.id}: ")
        self._last: Callable[[], tuple[bool, Callable[[], int | None]]] | None = None
        self._going, self._dropped = threading.Event(), threading.Event()
        threading.Thread(target=self._work, name=f"sharing {job.id}", daemon=True).start()

    @property
    def is_far(self) -> bool:
        """The process is on another machine."""
        return self.shared.place is None

    @property
    def is_blind(self) -> bool:
        """Nothing can be seen of the process now."""
        return self.is_far and bool(self._answering.trouble)

    def close(self, last: Callable[[], tuple[bool, Callable[[], int | None]]]) -> bool:
        """Share for the last time, then do this; whether both are done.

        Args:
            last: called in the thread, after the process has ended: whether that must be shared, however long the storage
                does not answer, and what gives the version that the run's model becomes.
        """
        self._last = last
        self._going.set()
        return self.is_closed

    def version(self) -> int | None:
        """What has become of the model; raises what went wrong."""
        if self.error is not None:
            raise self.error
        return self._version

    def drop(self) -> None:
        """Do nothing more; what was begun may still end."""
        self._dropped.set()
        self._going.set()

    def _work(self) -> None:
        try:
            if not self.is_brought:
                self._until_it_answers(self._bring)
                self.is_brought = True
            share = self._look if self.is_far else self._publisher().publish
            while not self._going.wait(PERIOD):
                self._answering.once(share)
            if self._last is not None and not self._dropped.is_set():
                must, _ = self._last()
                (self._until_it_answers if must else self._answering.once)(lambda: share(whole=True))
                _, register = self._last()  # by what has come
                self._until_it_answers(lambda: self._register(register))
        except (Fenced, OSError, ValueError) as error:
            self.error = error
        except Exception as error:
            log.exception("job %s cannot be shared", self.job.id)
            self.error = OSError(repr(error))
        self.is_brought = self.is_closed = True

    def _bring(self) -> None:
        if self.shared.place is None:
            look(self.shared.storage, self.job.id, self.run)
        else:
            restore(self.shared.storage, self.job.id, self.run, self.job.attempt)
            self.placed = self.shared.place(self.job)

    def _publisher(self) -> Publisher:
        return Publisher(self.shared.storage, self.job.id, self.run, self.job.attempt)

    def _look(self, whole: bool = False) -> None:
        order = Order(self.job.config, self.job.dataset, read_files(self.run))
        if order.files and order != self._order:
            put_order(self.shared.storage, self.job.id, self.job.attempt, order)
            self._order = order
        look(self.shared.storage, self.job.id, self.run)

    def _register(self, register: Callable[[], int | None]) -> None:
        self._version = register()

    def _until_it_answers(self, work: Callable[[], None]) -> None:
        while not self._dropped.is_set():
            try:
                work()
                return self._answering.say("")
            except StorageUnavailable as error:
                self._answering.say(str(error))
                self._dropped.wait(PAUSE)
        raise StorageUnavailable("nobody waits for it any more")


def adopted(shared: Shared, job: Job, run: Path, is_running: bool) -> Sharing | None:
    """For a job that was taken over: where its process runs here, or the last one did. None where neither is so."""
    if shared.place is None:
        return Sharing(shared, job, run, is_here=True)
    if not is_running and content(run) < job.attempt - 1:
        return None
    own_content(run, job.attempt)
    return Sharing(shared, job, run, is_here=True)
