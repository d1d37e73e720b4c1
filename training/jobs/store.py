"""The jobs, in SQLite or PostgreSQL: what users ask for, and what a worker does with the jobs that it has.

Every method is one transaction and may raise StoreUnavailable; the same call may work later. It raises NewerDatabase where
a newer program has changed the tables meanwhile. Any thread may call them.
"""

import builtins
import contextlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.exc import IntegrityError

from training.jobs import claims, rows, states, waiting
from training.jobs.creation import create, known
from training.jobs.database import PATIENCE, Database, clock
from training.jobs.identity import place
from training.jobs.job import Event, Job, JobNotFound, KeyReused, Kind, LeaseLost, StoreUnavailable
from training.jobs.states import ENDED, HELD, STATES, Change, Ended, Failure, State
from training.jobs.tables import events, jobs
from training.jobs.upgrade import check, upgrade

__all__ = ["Event", "Job", "JobNotFound", "JobStore", "KeyReused", "LeaseLost", "StoreUnavailable"]


class JobStore:
    """Jobs and their events."""

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        """Creates the tables, or upgrades them, one process after another.

        Args:
            url: sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME.
            patience: seconds to wait for a lock before the database counts as unavailable.

        Raises:
            ValueError: the URL is of neither kind, or the database is of a newer version than this program.
        """
        self._database = Database(url, patience, check)
        self.url = self._database.url
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            upgrade(self._database)
            stack.pop_all()  # it is usable, and stays open

    def close(self) -> None:
        self._database.close()

    # What users ask for

    def create(
        self,
        config: dict[str, Any],
        *,
        owner: str | None = None,
        key: str | None = None,
        dataset: str | None = None,
        posted: Any = None,
    ) -> tuple[Job, bool]:
        """The new job and True, or the one that this owner's key made before and False.

        Args:
            config: the training config.
            owner: who creates it.
            key: of the owner's; the same one makes the same job.
            dataset: of the service's own, which it uses.
            posted: what the key must come with again, as JSON; the config and the data set by default.

        Raises:
            KeyReused: that one has another config.
        """
        for _ in range(3):  # where another process made the same one meanwhile, it is found at the next try
            with contextlib.suppress(IntegrityError), self._change() as (connection, now):
                return create(connection, now, config, owner, key, dataset, posted)
        raise StoreUnavailable("another process creates jobs with the same idempotency key all the time")

    def known(self, owner: str | None, key: str, posted: Any) -> Job | None:
        """The job that `create` made with this owner's key, if there is one.

        Raises:
            KeyReused: the key came with something else then.
        """
        with self._database.read() as connection:
            return known(connection, owner, key, posted)

    def get(self, job_id: str) -> Job:
        with self._database.read() as connection:
            return rows.read(connection, job_id)

    def list(self, after: str | None = None, limit: int = 50, states: Collection[State] = ()) -> builtins.list[Job]:
        """The newest first: those made before the job `after`, in these states or in any."""
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if after is not None:
            query = query.where(jobs.c.id < after)
        if states:
            query = query.where(jobs.c.state.in_(states))
        with self._database.read() as connection:
            return rows.jobs_of(connection, query)

    def cancel(self, job_id: str) -> Job:
        with self._change() as (connection, now):
            job = rows.lock(connection, job_id)
            return _follow(connection, now, job, states.cancel(job.standing))

    def stop(self, job_id: str) -> Job:
        with self._change() as (connection, now):
            job = rows.lock(connection, job_id)
            return _follow(connection, now, job, states.stop(job.standing))

    def resume(self, job_id: str) -> Job:
        with self._change() as (connection, now):
            job = rows.lock(connection, job_id)
            afresh = {"failure": None, "stopped": False, "finished": None, "crashes": 0, "not_before": None}
            return _follow(connection, now, job, states.resume(job.standing), **afresh)

    def delete(self, job_id: str) -> None:
        """Removes the job and its events; its run folder is the caller's."""
        with self._change() as (connection, _):
            states.delete(rows.lock(connection, job_id).standing)
            connection.execute(delete(jobs).where(jobs.c.id == job_id))

    def events(self, job_id: str, after: int = 0, limit: int = 500) -> builtins.list[Event]:
        """The job's events with ids above `after`, in their order and without a gap."""
        query = select(events).where(events.c.job == job_id, events.c.id > after).order_by(events.c.id).limit(limit)
        with self._database.read() as connection:
            found = rows.events_of(connection, query)
            if not found:
                rows.read(connection, job_id)  # or JobNotFound
        return found

    def last_event(self, job_id: str) -> int:
        """Id of the job's last event."""
        query = select(jobs.c.events).where(jobs.c.id == job_id)
        with self._database.read() as connection:
            found = connection.scalar(query)
        if found is None:
            raise JobNotFound(f"no job has the id {job_id!r}")
        return found

    def jobs_using(self, dataset: str) -> builtins.list[str]:
        """Ids of the jobs that use this data set and have not ended."""
        query = select(jobs.c.id).where(jobs.c.dataset == dataset, jobs.c.state.not_in(ENDED)).order_by(jobs.c.id)
        with self._database.read() as connection:
            return [*connection.scalars(query)]

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        query = select(jobs.c.state, func.count().label("number")).group_by(jobs.c.state)
        with self._database.read() as connection:
            found = {row.state: row.number for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in STATES}

    def waiting(self, looked_at: Sequence[Job]) -> dict[str, str]:
        """Why nothing happens to these jobs, by their ids, where that is known: for what they wait, or that their worker has
        given no sign of life."""
        with self._database.read() as connection:
            return waiting.reasons(connection, clock(connection), looked_at, place())

    # What a worker does; all but the first four raise LeaseLost where it has the job no longer

    def held(self) -> builtins.list[Job]:
        """The jobs that workers have, the oldest first."""
        query = select(jobs).where(jobs.c.state.in_(HELD)).order_by(jobs.c.id)
        with self._database.read() as connection:
            return rows.jobs_of(connection, query)

    def claim(self, worker: str, place: str, free: int, total: int | None = None) -> Job | None:
        """The oldest queued job that is due, now starting at its next attempt, among those that this worker can ever run.

        Where a call raised StoreUnavailable, `held` tells whether a job was claimed nevertheless.

        Args:
            worker: its name, which no other process ever has.
            place: where its processes have their numbers.
            free: devices that it can give now; a job that takes more waits, and is not overtaken.
            total: devices that it has; jobs that take more are left to others. `free` by default.
        """
        with self._database.read() as connection:  # which hinders nobody, and is the answer nearly every time
            if not claims.anything_waits(connection):
                return None
        with self._change() as (connection, now):
            return claims.claim(connection, now, worker, place, free, free if total is None else total)

    def sign(self, worker: str, place: str, devices: int) -> None:
        """A sign of life of a worker that has so many devices: for those who look, leases have their own."""
        with self._change() as (connection, now):
            waiting.sign(connection, now, worker, place, devices)

    def sign_off(self, worker: str) -> None:
        """It ends."""
        with self._change() as (connection, now):
            waiting.sign_off(connection, now, worker)

    def take_over(self, job: Job, worker: str, place: str) -> Job:
        """The job as another worker's, at a new attempt, if it has not beaten since `job` was read."""
        with self._change() as (connection, now):
            return claims.take_over(connection, now, job, worker, place)

    def beat(self, job: Job) -> Job:
        """The job as it is now, with its worker's sign of life."""
        with self._change() as (connection, now):
            return claims.beat(connection, now, job)

    def begun(self, job: Job, process: str, gpus: builtins.list[str]) -> Job:
        """The job with the process that runs it."""
        with self._change() as (connection, now):
            return claims.begun(connection, now, job, process, gpus)

    def wait(self, job: Job, reason: str) -> Job:
        """The job with the reason why its process has not begun, unless it has."""
        with self._change() as (connection, now):
            return claims.wait(connection, now, job, reason)

    def record(
        self,
        job: Job,
        events: Sequence[tuple[Kind, dict[str, Any]]],
        *,
        step: int | None = None,
        steps: int | None = None,
        eta_seconds: float | None = None,
        state: Literal["running"] | None = None,
    ) -> Job:
        """The job with these events; numbers that are None stay as they were.

        Metrics and samples of a step that has been recorded before are left out, so a call may be repeated. A job that is
        being stopped does not become running.
        """
        given = {"step": step, "steps": steps, "eta_seconds": eta_seconds}
        progress = {name: value for name, value in given.items() if value is not None}
        with self._change() as (connection, now):
            return claims.record(connection, now, job, events, progress, state)

    def last_metrics_step(self, job: Job) -> int | None:
        """The step of the last metrics that were recorded."""
        with self._database.read() as connection:
            return claims.last_step(connection, job.id, "metrics")

    def interrupt(self, job: Job, reason: str, *, wait: float, crashed: bool, progressed: bool = False) -> Job:
        """The job interrupted and queued again, or cancelled where that was asked for.

        Args:
            wait: seconds, at most 60, before it is claimed again.
            crashed: count this as a crash.
            progressed: there is a newer checkpoint than at the crash before, so the count begins anew.
        """
        with self._change() as (connection, now):
            return claims.interrupt(connection, now, job, reason, wait, crashed, progressed)

    def finish(
        self,
        job: Job,
        state: Ended,
        reason: str,
        *,
        failure: Failure | None = None,
        stopped: bool = False,
        scores: dict[str, float] | None = None,
        model_version: int | None = None,
        crashes: int | None = None,
    ) -> Job:
        """The job at its end; repeated harmlessly.

        A job that is being cancelled ends cancelled whatever `state` says, unless it comes with a model version: that has
        been registered, and the cancel came too late.
        """
        given = {"scores": scores, "model_version": model_version, "crashes": crashes}
        found = {name: value for name, value in given.items() if value is not None}
        with self._change() as (connection, now):
            return claims.finish(connection, now, job, state, reason, failure, stopped, found)

    @contextlib.contextmanager
    def _change(self) -> Iterator[tuple[Connection, datetime]]:
        with self._database.write() as connection:
            yield connection, clock(connection)


def _follow(connection: Connection, now: datetime, job: Job, change: Change | None, **changes: Any) -> Job:
    """The locked job as a verb leaves it; an end that needs no worker is one at once."""
    if change is None:
        return job
    if change.state in ENDED:
        changes["finished"] = now
    return rows.move(connection, job, now, change.state, change.reason, asked=change.asked, **changes)
