"""From rows to jobs and back: reading one, locking it, changing it together with the event that says so."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, insert, select, update

from training.jobs.database import text
from training.jobs.job import Event, Job, JobNotFound, Kind
from training.jobs.states import NEXT, State
from training.jobs.tables import events, jobs


def jobs_of(connection: Connection, query: Executable) -> list[Job]:
    """The jobs whose rows the query gives."""
    return [_job(row) for row in connection.execute(query).mappings()]


def events_of(connection: Connection, query: Executable) -> list[Event]:
    rows = connection.execute(query).mappings()
    return [Event(**{name: row[name] for name in Event.__dataclass_fields__}) for row in rows]


def read(connection: Connection, job_id: str) -> Job:
    return _one(connection, job_id, select(jobs).where(jobs.c.id == job_id))


def lock(connection: Connection, job_id: str) -> Job:
    """The job, which nobody else changes before the end of the transaction."""
    return _one(connection, job_id, select(jobs).where(jobs.c.id == job_id).with_for_update())


def change(
    connection: Connection,
    job: Job,
    now: datetime,
    changes: Mapping[str, Any],
    happened: Iterable[tuple[Kind, dict[str, Any]]] = (),
) -> Job:
    """The locked job with these columns and events written.

    The row's count of events gives their ids: under its lock, so a reader never sees one before those with smaller ids.
    """
    happened = list(happened)
    written = {"updated": now, "events": jobs.c.events + len(happened), **changes}
    returned = connection.execute(update(jobs).where(jobs.c.id == job.id).values(written).returning(jobs))
    row = returned.mappings().one()
    first = row["events"] - len(happened) + 1
    if happened:
        rows = [
            {"job": job.id, "id": number, "time": now, "kind": kind, "data": data}
            for number, (kind, data) in enumerate(happened, first)
        ]
        connection.execute(insert(events), rows)
    return _job(row)


def move(connection: Connection, job: Job, now: datetime, state: State, reason: str, **changes: Any) -> Job:
    """The locked job in this state for this reason, with an event that says so.

    Raises:
        ValueError: no job goes from its state to this one.
    """
    if state != job.state and state not in NEXT[job.state]:
        raise ValueError(f"state must be one of {', '.join(NEXT[job.state])} after {job.state}, got {state!r}")
    reason = text(reason)
    said = {
        "state": state,
        "reason": reason,
        "asked": changes.get("asked", job.asked),
        "attempt": changes.get("attempt", job.attempt),
    }
    return change(connection, job, now, {"state": state, "reason": reason, **changes}, [("state", said)])


def _one(connection: Connection, job_id: str, query: Executable) -> Job:
    found = jobs_of(connection, query)
    if not found:
        raise JobNotFound(f"no job has the id {job_id!r}")
    return found[0]


def _job(row: Mapping[Any, Any]) -> Job:
    values = {name: row[name] for name in Job.__dataclass_fields__}
    scores = values["scores"] and {name: float(value) for name, value in values["scores"].items() if value is not None}
    eta = None if values["eta_seconds"] is None else float(values["eta_seconds"])  # SQLite returns 0 for 0.0
    return Job(**{**values, "owner": values["owner"] or None, "scores": scores, "eta_seconds": eta})
