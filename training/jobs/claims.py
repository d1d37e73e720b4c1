"""What a worker does with the job that it has, fenced: whoever's attempt is not the row's own writes nothing.

A lease compares no clocks. A worker counts `beat` up; another one that has seen it stand still for a while takes the job
over, which succeeds only if it stood still until then, and raises `attempt`, by which the first one knows.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, func, or_, select

from training.jobs.job import Job, JobNotFound, Kind, LeaseLost
from training.jobs.rows import change, jobs_of, lock, move
from training.jobs.states import ENDED, HELD, Ended, Failure
from training.jobs.tables import events, jobs

LONGEST_WAIT = 60.0
"""Seconds that a job waits at most before it is tried again, however far the clock jumps."""


def claim(connection: Connection, now: datetime, worker: str, place: str, free: int, total: int) -> Job | None:
    """The oldest queued job that is due and takes at most `total` devices, now starting; None where there is none, or where
    that one takes more than are `free`: younger ones do not overtake it."""
    latest = now + timedelta(seconds=LONGEST_WAIT)
    due = or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now, jobs.c.not_before > latest)
    waiting = [jobs.c.state == "queued", due]
    too_large = select(func.min(jobs.c.id)).where(*waiting, jobs.c.devices > free, jobs.c.devices <= total)
    barrier = connection.scalar(too_large)
    before = [] if barrier is None else [jobs.c.id < barrier]
    oldest = select(jobs).where(*waiting, jobs.c.devices <= free, *before).order_by(jobs.c.id).limit(1)
    found = jobs_of(connection, oldest.with_for_update(skip_locked=True))
    if not found:
        return None
    (job,) = found
    return move(
        connection,
        job,
        now,
        "starting",
        f"claimed by {worker}",
        attempt=job.attempt + 1,
        beat=job.beat + 1,
        worker=worker,
        place=place,
        process=None,
        gpus=[],
        not_before=None,
        eta_seconds=None,
    )


def anything_waits(connection: Connection) -> bool:
    """Whether any job is queued, due or not."""
    return connection.scalar(select(jobs.c.id).where(jobs.c.state == "queued").limit(1)) is not None


def take_over(connection: Connection, now: datetime, job: Job, worker: str, place: str) -> Job:
    """The job with a new attempt, if its worker has not beaten since `job` was read; its process goes on."""
    row = _mine(connection, job)
    if row.beat != job.beat:
        raise LeaseLost(f"the worker {row.worker} of job {job.id} lives")
    reason = f"taken over by {worker} from {row.worker}"
    changes = {"attempt": row.attempt + 1, "beat": row.beat + 1, "worker": worker, "place": place}
    return move(connection, row, now, row.state, reason, **changes)


def beat(connection: Connection, now: datetime, job: Job) -> Job:
    row = _mine(connection, job)
    return change(connection, row, now, {"beat": row.beat + 1})


def begun(connection: Connection, now: datetime, job: Job, process: str, gpus: list[str]) -> Job:
    row = _mine(connection, job)
    started = row.started or now
    return change(connection, row, now, {"process": process, "gpus": gpus, "started": started})


def wait(connection: Connection, now: datetime, job: Job, reason: str) -> Job:
    row = _mine(connection, job)
    return move(connection, row, now, row.state, reason) if row.state == "starting" else row


def record(
    connection: Connection,
    now: datetime,
    job: Job,
    happened: Sequence[tuple[Kind, dict[str, Any]]],
    progress: dict[str, Any],
    state: Literal["running"] | None,
) -> Job:
    """The job with these events and numbers; metrics and samples of a step that has been recorded before are left out."""
    row = _mine(connection, job)
    if state == "running" and row.state == "starting":
        if row.asked is None:
            row = move(connection, row, now, "running", "measuring" if row.measures else "training")
        else:
            row = move(connection, row, now, "stopping", f"asked to {row.asked}")
    fresh = _not_recorded(connection, job.id, happened)
    return change(connection, row, now, progress, fresh)


def last_step(connection: Connection, job_id: str, kind: Kind) -> int | None:
    """The step of the job's last event of this kind, which none before it exceeds."""
    step = events.c.data["step"].as_integer()
    of_kind = select(step).where(events.c.job == job_id, events.c.kind == kind)
    return connection.scalar(of_kind.order_by(events.c.id.desc()).limit(1))


def interrupt(
    connection: Connection, now: datetime, job: Job, reason: str, wait: float, crashed: bool, progressed: bool
) -> Job:
    """The job queued again, or cancelled where that was asked for; the same once more where it is so already."""
    row = _mine(connection, job, done=("queued", "cancelled"))
    if row.state not in HELD:
        return row
    crashes = (0 if progressed else row.crashes) + crashed
    gone: dict[str, Any] = {"process": None, "eta_seconds": None}
    row = move(connection, row, now, "interrupted", reason, crashes=crashes, **gone)
    if row.asked == "cancel":
        return move(connection, row, now, "cancelled", "cancelled", asked=None, finished=now)
    not_before = now + timedelta(seconds=min(max(wait, 0.0), LONGEST_WAIT))
    return move(connection, row, now, "queued", reason, not_before=not_before)


def finish(
    connection: Connection,
    now: datetime,
    job: Job,
    state: Ended,
    reason: str,
    failure: Failure | None,
    stopped: bool,
    found: dict[str, Any],
) -> Job:
    """The job at its end; the same once more where it is so already."""
    row = _mine(connection, job, done=ENDED)
    if row.state not in HELD:
        return row
    if row.asked == "cancel" and found.get("model_version") is None:
        state, failure, stopped = "cancelled", None, False
    changes = {"failure": failure, "stopped": stopped, "asked": None, "finished": now, **found}
    return move(connection, row, now, state, reason, process=None, eta_seconds=None, **changes)


def _mine(connection: Connection, job: Job, done: Sequence[str] = ()) -> Job:
    """The locked row of the attempt that `job` is of, held, or in one of these states since that attempt."""
    try:
        row = lock(connection, job.id)
    except JobNotFound:
        raise LeaseLost(f"job {job.id} has been deleted") from None
    if (row.attempt, row.worker) != (job.attempt, job.worker):
        raise LeaseLost(f"job {job.id} is at attempt {row.attempt} of {row.worker}, not {job.attempt} of {job.worker}")
    if row.state not in HELD and row.state not in done:
        raise LeaseLost(f"job {job.id} is {row.state}")
    return row


def _not_recorded(
    connection: Connection, job_id: str, happened: Sequence[tuple[Kind, dict[str, Any]]]
) -> list[tuple[Kind, dict[str, Any]]]:
    fresh: list[tuple[Kind, dict[str, Any]]] = []
    last: dict[Kind, int] = {}
    for kind, data in happened:
        step = data.get("step")
        if kind in ("metrics", "sample") and isinstance(step, int):
            if kind not in last:
                last[kind] = -1 if (known := last_step(connection, job_id, kind)) is None else known
            if step <= last[kind]:
                continue
            last[kind] = step
        fresh.append((kind, data))
    return fresh
