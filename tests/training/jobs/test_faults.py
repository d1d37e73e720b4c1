"""Workers that die, stand still or lose their database, with a stand-in for the training, which is quick to start.

`test_faults_training.py` has the same with real trainings.
"""

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgreSQL, mostly_sqlite
from tests.training.jobs.workers import (
    PROGRAM,
    Running,
    ended,
    pid_of,
    starts,
    submit_quick,
    trainings,
    wait_for,
    worker,
)
from training.jobs.job import Job
from training.jobs.store import JobStore

LEASE = 5.0
"""Seconds, of which a worker on a slow machine may be silent for some."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def started(store: JobStore, steps: int, *more: int) -> list[Job]:
    """Jobs that train, of so many steps each."""
    jobs = [submit_quick(store, steps=count) for count in (steps, *more)]
    wait_for(lambda: all(store.get(job.id).state == "running" for job in jobs))
    return jobs


def test_a_training_outlives_its_worker_and_the_next_one_adopts_it(
    store: JobStore, database_url: str, home: Path
) -> None:
    with worker(database_url, home, program=PROGRAM) as first:
        (job,) = started(store, 400)
        first.kill()
        assert trainings(home) == [pid_of(store, job)]
        # Before any lease can run out: it sees that the process of the other is gone.
        with worker(database_url, home, program=PROGRAM, lease=3600.0) as second:
            wait_for(lambda: store.get(job.id).attempt == 2)
            done = ended(store, job)
            assert (done.state, done.attempt) == ("succeeded", 2)
            assert len(starts(second, job)) == 1
    steps = [event.data["step"] for event in store.events(job.id) if event.kind == "metrics"]
    assert steps == list(range(9, 400, 10))


@mostly_sqlite
def test_what_ended_while_no_worker_watched_is_told_by_its_closing_record(
    store: JobStore, database_url: str, home: Path
) -> None:
    with worker(database_url, home, program=PROGRAM, slots=2) as first:
        good, bad = started(store, 400, 400)
        first.kill()
        os.kill(pid_of(store, bad), signal.SIGKILL)
        wait_for(lambda: not trainings(home))
        with worker(database_url, home, program=PROGRAM, slots=2) as second:
            assert ended(store, good).attempt == 2
            assert ended(store, bad).attempt == 3
            assert [len(starts(second, job)) for job in (good, bad)] == [1, 2]
    reasons = [event.data["reason"] for event in store.events(bad.id) if event.data.get("state") == "interrupted"]
    assert reasons == ["the training process was gone when a worker looked for it"]


@mostly_sqlite
@pytest.mark.parametrize("adopted", [True, False])
def test_a_mistake_is_told_from_a_crash_where_nobody_sees_the_exit_code(
    store: JobStore, database_url: str, home: Path, adopted: bool
) -> None:
    """The process finds it after it was adopted, or while no worker watches."""
    with worker(database_url, home, program=PROGRAM) as first:
        job = submit_quick(store, steps=10_000, seed=8)
        wait_for(lambda: store.get(job.id).state == "running")
        pid = pid_of(store, job)
        os.kill(pid, signal.SIGSTOP)
        first.kill()
        if not adopted:
            os.kill(pid, signal.SIGCONT)
            wait_for(lambda: not trainings(home))
        with worker(database_url, home, program=PROGRAM) as second:
            wait_for(lambda: store.get(job.id).attempt == 2)
            if adopted:
                os.kill(pid, signal.SIGCONT)
            done = ended(store, job)
            assert (done.state, done.failure, done.reason) == ("failed", "mistake", "what is wrong")
            assert (done.attempt, done.crashes, len(starts(second, job))) == (2, 0, 1)


@mostly_sqlite
def test_a_training_that_is_killed_again_and_again_has_failed_after_five_retries(
    store: JobStore, database_url: str, home: Path
) -> None:
    with worker(database_url, home, program=PROGRAM) as running:
        job = submit_quick(store, steps=100_000)
        for attempt in range(1, 7):
            wait_for(lambda attempt=attempt: (now := store.get(job.id)).attempt == attempt and now.process)
            os.kill(pid_of(store, job), signal.SIGKILL)
        done = ended(store, job)
        assert (done.state, done.failure, done.attempt, done.crashes) == ("failed", "crash", 6, 6)
        killed = "the training process was killed by SIGKILL, as the kernel does where memory runs out"
        assert done.reason == f"{killed} (crash 6 without a new checkpoint in between)"
        assert len(starts(running, job)) <= 6
        store.resume(job.id)  # which counts anew
        wait_for(lambda: (now := store.get(job.id)).attempt == 7 and now.process)
        os.kill(pid_of(store, job), signal.SIGKILL)
        wait_for(lambda: store.get(job.id).attempt == 8)
        store.cancel(job.id)
        assert ended(store, job).state == "cancelled"


def limit(running: Running, size: int) -> None:
    """The largest place in a file to which the worker may write; beyond, it is as on a full disk."""
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_training_that_cannot_be_adopted_yet_goes_on(postgresql: PostgreSQL, home: Path) -> None:
    url = postgresql.database()
    with contextlib.closing(JobStore(url)) as store, worker(url, home, program=PROGRAM) as first:
        (job,) = started(store, 1000)
        with worker(url, home, program=PROGRAM, lease=LEASE) as second:
            wait_for(lambda: first.log.read_text().count("runs the jobs") == 2)
            limit(second, 0)
            first.kill()
            wait_for(lambda: store.get(job.id).attempt == 2)
            time.sleep(1.5 * LEASE)
            assert (store.get(job.id).attempt, trainings(home)) == (2, [pid_of(store, job)])
            limit(second, resource.RLIM_INFINITY)
            done = ended(store, job)
            assert (done.state, done.attempt, len(starts(second, job))) == ("succeeded", 2, 1)
        steps = [event.data["step"] for event in store.events(job.id) if event.kind == "metrics"]
        assert steps == list(range(9, 1000, 10))


@mostly_sqlite
@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_worker_killed_around_the_start_of_a_training_lets_none_run_twice(
    database_url: str, home: Path, tmp_path: Path, moment: float
) -> None:
    store = JobStore(database_url)
    with contextlib.closing(store), worker(database_url, home, program=PROGRAM) as first:
        wait_for(lambda: "runs the jobs" in first.log.read_text())
        job = submit_quick(store, steps=60)
        wait_for(lambda: store.get(job.id).attempt == 1)
        time.sleep(moment)
        first.kill()
        with worker(database_url, home, program=PROGRAM) as second:
            assert ended(store, job).state == "succeeded"
            assert not any(start["others"] for start in starts(second, job))


@pytest.mark.slow
def test_a_worker_that_wakes_after_a_take_over_writes_nothing(store: JobStore, database_url: str, home: Path) -> None:
    with worker(database_url, home, program=PROGRAM, lease=LEASE) as first:
        (job,) = started(store, 400)
        pid = pid_of(store, job)
        os.kill(pid, signal.SIGSTOP)  # it would be done before all of this is
        first.stop()
        with worker(database_url, home, program=PROGRAM, lease=LEASE) as second:
            wait_for(lambda: first.log.read_text().count("runs the jobs") == 2)
            begin = time.monotonic()
            wait_for(lambda: store.get(job.id).attempt == 2)
            assert time.monotonic() - begin < LEASE + 15.0
            before = len(store.events(job.id))
            first.signal(signal.SIGCONT)
            wait_for(lambda: "no longer this worker's" in first.log.read_text())
            first.signal(signal.SIGTERM)  # which pauses what it has: nothing
            assert first.process.wait(60) == 0
            os.kill(pid, signal.SIGCONT)
            done = ended(store, job)
            assert (done.state, done.attempt, len(starts(second, job))) == ("succeeded", 2, 1)
    after = store.events(job.id)[before:]
    assert {event.data.get("attempt", 2) for event in after if event.kind != "metrics"} <= {1, 2}
    assert [event.data["state"] for event in after if event.kind == "state"] == ["succeeded"]


@mostly_sqlite
def test_all_that_is_ended_goes_on_after_the_restart(store: JobStore, database_url: str, home: Path) -> None:
    with worker(database_url, home, program=PROGRAM, slots=3) as first:
        jobs = started(store, 400, 400, 400)
        for pid in trainings(home):  # as an operator does it who ends everything
            os.kill(pid, signal.SIGTERM)
        assert first.end() == 0
    assert not trainings(home)
    for job in jobs:
        now = store.get(job.id)
        assert (now.state, now.reason, now.crashes) == ("queued", "the worker was stopped", 0)
    with worker(database_url, home, program=PROGRAM, slots=3) as second:
        for job in jobs:
            assert ended(store, job).state == "succeeded"
            assert len(starts(second, job)) == 2


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """A SQLite database that another program keeps to itself."""
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("COMMIT")


@contextlib.contextmanager
def gone(server: PostgreSQL) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@pytest.fixture
def outage(database_url: str, request: pytest.FixtureRequest) -> "contextlib.AbstractContextManager[None]":
    if database_url.startswith("sqlite"):
        return locked(database_url)
    return gone(request.getfixturevalue("postgresql"))


@pytest.mark.slow
def test_trainings_go_on_while_the_database_does_not_answer(
    store: JobStore, database_url: str, home: Path, outage: "contextlib.AbstractContextManager[None]"
) -> None:
    with contextlib.ExitStack() as workers:
        running = workers.enter_context(worker(database_url, home, program=PROGRAM, slots=2, lease=LEASE))
        short, long = started(store, 300, 2000)
        # Another one must not take the silence for a death.
        workers.enter_context(worker(database_url, home, program=PROGRAM, lease=LEASE))
        wait_for(lambda: running.log.read_text().count("runs the jobs") == 2)
        with outage:
            wait_for(lambda: (home / "runs" / short.id / "result.json").exists())
            time.sleep(1.5 * LEASE)
            assert len(trainings(home)) == 1
        for job in (short, long):
            done = ended(store, job)
            assert (done.state, len(starts(running, job))) == ("succeeded", 1)
            # A locked SQLite can be read: at its end the other may be the first to write, and adopts the training.
            assert done.attempt == 1 or database_url.startswith("sqlite")
        assert "answers again" in running.log.read_text()
    steps = [event.data["step"] for event in store.events(long.id) if event.kind == "metrics"]
    assert steps == list(range(9, 2000, 10))


@mostly_sqlite
@pytest.mark.slow
def test_no_job_is_lost_where_the_clock_jumps(store: JobStore, database_url: str, home: Path, tmp_path: Path) -> None:
    """Of both workers and of what they start, by an hour, forwards and back; a third one has the right time."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("needs libfaketime: apt-get install faketime")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    jumping = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    told = [f"{name}={value}" for name, value in jumping.items() if name != "LD_PRELOAD"]
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(worker(database_url, home, environment, program=program, slots=3, lease=LEASE))
            for environment, program in 2 * [(jumping, ["env", *told, *PROGRAM])] + [({}, PROGRAM)]
        ]
        jobs = [submit_quick(store, steps=2000, seed=seed) for seed in (0, 6, 0)]  # the second one crashes once
        ids = [job.id for job in jobs]
        wait_for(
            lambda: [(now.state, now.attempt) for now in map(store.get, ids)] == [("running", n) for n in (1, 2, 1)]
        )
        had = {job.id: (store.get(job.id).worker, store.get(job.id).attempt) for job in jobs}
        for jump in (3600, -3600, 0):
            clock.write_text(f"{jump:+d}")
            seen = subprocess.run(["date", "+%s"], env={**os.environ, **jumping}, capture_output=True, text=True).stdout
            assert abs(int(seen) - time.time() - jump) < 60
            time.sleep(1.2 * LEASE)
        for job in jobs:
            done = ended(store, job)
            assert done.state == "succeeded"
            assert (done.worker, done.attempt) == had[job.id]
            assert len(starts(workers[0], job)) == done.attempt
    assert "no longer" not in workers[0].log.read_text()
