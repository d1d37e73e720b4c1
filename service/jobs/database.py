"""The jobs' database as the event loop uses it: opened when it is first needed, asked in threads, its errors as problems."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from service.problems import Problem
from service.settings import Settings
from training.jobs.job import JobNotFound, KeyReused, NewerDatabase, StoreUnavailable
from training.jobs.states import Forbidden

if TYPE_CHECKING:
    from training.jobs.store import JobStore

T = TypeVar("T")

log = logging.getLogger(__name__)

THREADS = 8
"""That ask it at a time, so that a database which hangs takes no threads from predictions."""
PATIENCE = 10.0
"""Seconds after which nobody waits for an answer any more."""
RETRY = {"Retry-After": "2"}
_PAUSE = 1.0
"""Seconds between two attempts to open it."""


class _Unusable(Exception):
    """Only an operator can mend it, and waiting does not help; an address is told to the log alone."""

    def __init__(self, error: ValueError) -> None:
        why = str(error) if isinstance(error, NewerDatabase) else "the log of the service says why"
        super().__init__(f"the database of jobs cannot be used until an operator mends it: {why}")


class JobDatabase:
    """The job store of these settings. A file of jobs is not opened, nor SQLAlchemy imported, before somebody asks."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.job_database
        self._file: Path | None = None if settings.database else settings.home / "jobs.sqlite"
        self._store: JobStore | None = None
        self._opening = threading.Lock()
        self._next_try = 0.0
        self._limiter: CapacityLimiter | None = None

    @property
    def may_have_jobs(self) -> bool:
        """Whether there is anything to ask: a database that was named, or a file that was made."""
        return self._file is None or self._store is not None or self._file.exists()

    async def open(self) -> None:
        """Open it where it was named, so that nobody who asks waits for that; where it does not answer, that comes later."""
        if self._file is None:
            try:
                await self.ask(lambda _: None)
            except Problem:
                log.debug("the database of jobs is opened when somebody asks for it")
            except Exception:  # predictions need no database
                log.exception("the database of jobs could not be opened")

    async def ask(self, function: "Callable[[JobStore], T]") -> T:
        """What the function makes of the store.

        Raises:
            Problem: 503 where it does not answer (without `Retry-After` where it never will), 404 where it has no such job,
                409 where a job's state forbids it, 422 where an idempotency key came before with another body.
        """
        self._limiter = self._limiter or CapacityLimiter(THREADS)
        try:
            with anyio.fail_after(PATIENCE):
                return await to_thread.run_sync(self._do, function, limiter=self._limiter, abandon_on_cancel=True)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("the database of jobs does not answer: %s", str(error) or f"nothing came in {PATIENCE:g} s")
            raise Problem(503, "the database of jobs does not answer at present: try again", RETRY) from None
        except _Unusable as error:
            raise Problem(503, str(error)) from None
        except JobNotFound:
            raise Problem(404, "there is no job of that id") from None
        except Forbidden as error:
            raise Problem(409, str(error), state=error.state) from None
        except KeyReused as error:
            raise Problem(422, str(error)) from None

    def close(self) -> None:
        """Close its connections."""
        if self._store is not None:
            self._store.close()

    def _do(self, function: "Callable[[JobStore], T]") -> T:
        try:
            return function(self._store or self._open())
        except NewerDatabase as error:  # which was one of this version when it was opened
            log.error("the database of jobs cannot be used: %s", error)
            raise _Unusable(error) from None

    def _open(self) -> "JobStore":
        with self._opening:
            if self._store is None:
                if time.monotonic() < self._next_try:
                    raise StoreUnavailable("it did not a moment ago")
                from training.jobs.store import JobStore

                try:
                    self._store = JobStore(self._url)
                except StoreUnavailable:
                    self._next_try = time.monotonic() + _PAUSE
                    raise
                except ValueError as error:  # of a newer version, or no address of one
                    log.error("the database of jobs cannot be used: %s", error)
                    raise _Unusable(error) from None
            return self._store
