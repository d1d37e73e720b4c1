"""Which workers live, and so why nothing happens to a job: for those who look at it, not for leases.

A worker writes down every few seconds that it lives, with the time by the database's clock, by which whoever looks judges,
too: on SQLite the machine's, on PostgreSQL the server's. Where that clock jumps, what is said here may be wrong until the
next sign; nothing is done because of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from training.jobs.claims import LONGEST_WAIT
from training.jobs.identity import is_gone
from training.jobs.job import Job
from training.jobs.tables import jobs, workers

FOR_CLUSTER = "waits for the cluster"
"""So begins the reason of a job that a worker has handed to a cluster, where it has not begun."""

SIGN = 5.0
"""Seconds between two signs of life."""

SILENCE = timedelta(seconds=20)
"""Of a worker that is then taken for gone; of this place one is gone as soon as its process is."""

FORGOTTEN = timedelta(days=1)
"""After which a worker that came to no good end is known no more."""


class Sign(NamedTuple):
    """A worker, and when it gave its last sign of life."""

    name: str
    place: str
    devices: int
    """0 of one that has ended in good order."""
    seen: datetime


class Waiting(NamedTuple):
    """A queued job."""

    id: str
    devices: int
    not_before: datetime | None


def sign(connection: Connection, now: datetime, name: str, place: str, devices: int) -> None:
    """Write down that this worker lives, and forget those of long ago."""
    connection.execute(delete(workers).where(workers.c.seen < now - FORGOTTEN))
    values = {"place": place, "devices": devices, "seen": now}
    if not connection.execute(update(workers).where(workers.c.name == name).values(values)).rowcount:
        connection.execute(insert(workers).values(name=name, **values))


def sign_off(connection: Connection, now: datetime, name: str) -> None:
    """Write down that this worker ends; of those that ended before nothing is kept."""
    connection.execute(delete(workers).where(workers.c.devices == 0, workers.c.name != name))
    connection.execute(update(workers).where(workers.c.name == name).values(devices=0, seen=now))


def reasons(connection: Connection, now: datetime, looked_at: Sequence[Job], here: str) -> dict[str, str]:
    """Why nothing happens to jobs, for people, by their ids; those to which something does are left out.

    Args:
        here: this place.
    """
    if not any(job.state == "queued" or job.held for job in looked_at):
        return {}
    columns = (workers.c.name, workers.c.place, workers.c.devices, workers.c.seen)
    known = [Sign(*row) for row in connection.execute(select(*columns))]
    living = [worker for worker in known if _lives(worker, now, here)]
    query = select(jobs.c.id, jobs.c.devices, jobs.c.not_before).where(jobs.c.state == "queued").order_by(jobs.c.id)
    queue = [Waiting(*row) for row in connection.execute(query)]
    signs = {worker.name: worker for worker in known}
    found = {job.id: _of_held(job, signs, living, now) for job in looked_at if job.held}
    places = {waiting.id: place for place, waiting in enumerate(queue)}
    for job in looked_at:
        if job.id in places:
            found[job.id] = _of_queued(places[job.id], queue, known, living, now)
    return {job: reason for job, reason in found.items() if reason is not None}


def _lives(worker: Sign, now: datetime, here: str) -> bool:
    return worker.devices > 0 and now - worker.seen < SILENCE and not is_gone(worker.name, worker.place, here)


def _of_held(job: Job, signs: dict[str, Sign], living: Sequence[Sign], now: datetime) -> str | None:
    worker = signs.get(job.worker or "")
    if worker in living or (worker is None and now - job.updated < SILENCE):  # which has only just begun
        return job.reason if job.state == "starting" and job.reason.startswith(FOR_CLUSTER) else None
    seen = job.updated if worker is None else worker.seen
    follows = "" if living else ", and there is no other"
    return f"its worker has given no sign of life since {_told(seen)}{follows}"


def _of_queued(
    place: int, queue: Sequence[Waiting], known: Sequence[Sign], living: Sequence[Sign], now: datetime
) -> str | None:
    job = queue[place]
    if not living:
        last = f" since {_told(max(worker.seen for worker in known))}" if known else ""
        return f"waits for a worker: none has given a sign of life{last}"
    largest = max(worker.devices for worker in living)
    if job.devices > largest:
        return f"needs {job.devices} devices; the largest worker has {largest}"
    if _is_later(job, now):
        return f"is tried again at {_told(job.not_before or now)}"
    before = sum(other.devices <= largest and not _is_later(other, now) for other in queue[:place])
    if before:
        return f"waits for {before} {'job' if before == 1 else 'jobs'} before it"
    return "is the next: waits for a device" if job.devices == 1 else f"is the next: waits for {job.devices} devices"


def _is_later(job: Waiting, now: datetime) -> bool:
    """As `claims.claim` sees it."""
    return job.not_before is not None and now < job.not_before <= now + timedelta(seconds=LONGEST_WAIT)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
