"""Why nothing happens to a job, as those are told who look at it."""

import contextlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.training.jobs.rows import PLACE, WORKER, claimed, config, running
from tests.training.jobs.workers import PROGRAM, ended, submit_quick, wait_for, worker
from training.jobs import waiting
from training.jobs.database import clock
from training.jobs.identity import place
from training.jobs.job import Job
from training.jobs.store import JobStore
from training.jobs.tables import workers as workers_table

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def why(store: JobStore, job: Job) -> str | None:
    return store.waiting([store.get(job.id)]).get(job.id)


def silent(store: JobStore, seconds: float, worker: str = WORKER) -> None:
    """The worker has said nothing for so long."""
    with store._database.write() as connection:
        waiting.sign(connection, clock(connection) - timedelta(seconds=seconds), worker, PLACE, 1)


def queued(store: JobStore, devices: int = 1) -> Job:
    return store.create(config(devices))[0]


def test_a_job_waits_for_a_worker_where_none_lives(store: JobStore) -> None:
    job = queued(store)
    assert why(store, job) == "waits for a worker: none has given a sign of life"
    silent(store, 60)
    assert re.fullmatch(f"waits for a worker: none has given a sign of life since {TIME}", why(store, job) or "")
    store.sign(WORKER, PLACE, 1)
    assert why(store, job) == "is the next: waits for a device"


def test_a_job_waits_since_the_last_worker_ended(store: JobStore) -> None:
    """In good order, which is the last that was heard of it; another one died before."""
    silent(store, 3600, "dead")
    store.sign(WORKER, PLACE, 1)
    held = claimed(store)
    job = queued(store)
    before = store.get(job.id).created
    for _ in range(2):  # another one, or it was not sure that it had said so
        store.sign_off(WORKER)
        waits = re.fullmatch(f"waits for a worker: none has given a sign of life since ({TIME})", why(store, job) or "")
        assert waits
        since = datetime.strptime(waits[1], "%Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
        assert timedelta(seconds=-1) <= since - before < timedelta(minutes=2)
        assert why(store, held) == f"its worker has given no sign of life since {waits[1]}, and there is no other"
    store.sign("another", PLACE, 1)
    assert why(store, job) == "is the next: waits for a device"
    store.sign_off("another")
    with store._database.read() as connection:
        known = set(connection.scalars(select(workers_table.c.name)))
    assert known == {"dead", "another"}  # of those that have ended the last alone


def test_a_job_waits_for_those_before_it_that_some_worker_can_run(store: JobStore) -> None:
    store.sign(WORKER, PLACE, 2)
    large, first, second, third = (queued(store, devices) for devices in (3, 2, 1, 1))
    assert store.waiting([large, first, second, third]) == {
        large.id: "needs 3 devices; the largest worker has 2",
        first.id: "is the next: waits for 2 devices",
        second.id: "waits for 1 job before it",
        third.id: "waits for 2 jobs before it",
    }
    store.sign("another", PLACE, 4)
    assert why(store, third) == "waits for 3 jobs before it"


def test_a_job_that_crashed_is_tried_again_later_and_holds_up_nobody(store: JobStore) -> None:
    store.sign(WORKER, PLACE, 1)
    job = store.interrupt(running(store), "killed", wait=50.0, crashed=True)
    assert re.fullmatch(f"is tried again at {TIME}", why(store, job) or "")
    assert why(store, queued(store)) == "is the next: waits for a device"


def test_a_job_whose_worker_is_silent_says_since_when(store: JobStore) -> None:
    job = running(store)
    assert why(store, job) is None  # it has only just begun
    store.sign(WORKER, PLACE, 1)
    assert why(store, job) is None
    silent(store, 60)
    gone = f"its worker has given no sign of life since {TIME}"
    assert re.fullmatch(f"{gone}, and there is no other", why(store, job) or "")
    store.sign("another", PLACE, 1)
    assert re.fullmatch(gone, why(store, job) or "")
    assert why(store, store.finish(job, "succeeded", "trained")) is None


def test_a_worker_whose_process_is_gone_is_known_to_be_at_once(store: JobStore) -> None:
    name = "host/4194305.1.abcd"  # no process has such a number
    store.sign(name, place(), 1)
    job = claimed(store, name)
    assert "no sign of life" in (why(store, job) or "")
    store.sign(name, "elsewhere", 1)
    assert why(store, job) is None


@pytest.mark.parametrize("hours", [-1.0, 1.0])
def test_a_sign_from_before_a_jump_of_the_clock_is_mended_by_the_next(store: JobStore, hours: float) -> None:
    silent(store, 3600 * hours)
    store.sign(WORKER, PLACE, 1)
    assert why(store, queued(store)) == "is the next: waits for a device"


def test_workers_of_long_ago_are_forgotten(store: JobStore) -> None:
    silent(store, 2 * 86400, "old")
    store.sign(WORKER, PLACE, 1)
    with store._database.read() as connection:
        assert [*connection.scalars(select(workers_table.c.name))] == [WORKER]


def test_a_worker_is_seen_while_it_lives(store: JobStore, database_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as workers:
        running = workers.enter_context(worker(database_url, tmp_path / "home", program=PROGRAM))
        jobs = [submit_quick(store, steps=2000) for _ in range(3)]
        wait_for(lambda: store.get(jobs[0].id).state == "running")
        assert [why(store, job) for job in jobs] == [
            None,
            "is the next: waits for a device",
            "waits for 1 job before it",
        ]
        assert why(store, submit_quick(store, devices=2)) == "needs 2 devices; the largest worker has 1"
        running.kill()
        assert re.fullmatch(f"its worker .* since {TIME}, and there is no other", why(store, jobs[0]) or "")
        assert "none has given a sign of life since" in (why(store, jobs[1]) or "")
        second = workers.enter_context(worker(database_url, tmp_path / "home", program=PROGRAM))
        wait_for(lambda: why(store, jobs[0]) is None)
        for job in jobs:
            store.cancel(job.id)
            assert ended(store, job).state == "cancelled"
        assert second.end() == 0
        assert why(store, queued(store)) is not None
