"""A worker in a process of its own, with a stand-in for the training: what it does with jobs that go well or do not."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import mostly_sqlite
from tests.training.jobs.test_devices import UUIDS, four_gpus
from tests.training.jobs.workers import (
    PROGRAM,
    Running,
    ended,
    pid_of,
    starts,
    states,
    submit_quick,
    trainings,
    wait_for,
    worker,
)
from training.jobs.store import JobStore

__all__ = ["four_gpus"]


@pytest.fixture
def running(store: JobStore, database_url: str, tmp_path: Path) -> Iterator[Running]:
    with worker(database_url, tmp_path / "home", program=PROGRAM, retries=2, grace=1.0, slots=2) as made:
        yield made
        assert made.process.poll() is None, made.log.read_text()


def test_a_job_is_started_at_once_and_tells_how_far_it_is(store: JobStore, running: Running) -> None:
    wait_for(lambda: "runs the jobs" in running.log.read_text())
    took = []
    for _ in range(5):  # of which one is not disturbed, on a busy machine
        begin = time.monotonic()
        job = submit_quick(store, steps=100)
        wait_for(lambda job=job: starts(running, job))
        took.append(time.monotonic() - begin)
        done = ended(store, job)
    assert min(took) < 2.0  # of which most is Python's own start; the claim takes 0.2
    assert (done.state, done.reason, done.scores) == ("succeeded", "trained to its end", {"steps": 100.0})
    assert (done.step, done.steps, done.process, done.attempt, done.stopped) == (99, 100, None, 1, False)
    assert states(store, job) == ["queued", "starting", "running", "succeeded"]
    events = store.events(job.id)
    assert [event.data["step"] for event in events if event.kind == "metrics"] == list(range(9, 100, 10))
    assert [event for event in events if event.kind == "progress"]


@mostly_sqlite
@pytest.mark.parametrize(
    ("seed", "state", "failure", "reason", "attempts"),
    [
        (1, "failed", "crash", "the training process was killed by SIGSEGV", 3),
        (2, "failed", "mistake", "what is wrong", 1),
        (3, "failed", "resources", "what is wrong", 1),
        (7, "failed", "resources", "what is wrong (crash 3 without", 3),
        (5, "failed", "crash", "the training process ended without a result", 3),
        (6, "succeeded", None, "trained to its end", 2),
    ],
)
def test_a_crash_is_retried_and_a_mistake_is_not(
    store: JobStore, running: Running, seed: int, state: str, failure: str | None, reason: str, attempts: int
) -> None:
    done = ended(store, submit_quick(store, seed=seed))
    assert (done.state, done.failure, done.attempt) == (state, failure, attempts)
    assert done.reason.startswith(reason)
    assert len(starts(running, done)) == attempts


@mostly_sqlite
def test_a_stop_keeps_and_a_cancel_ends_what_runs(store: JobStore, running: Running) -> None:
    kept, ended_early = (submit_quick(store, steps=10_000) for _ in range(2))
    for job in (kept, ended_early):
        wait_for(lambda job=job: store.get(job.id).state == "running")
    store.stop(kept.id)
    store.cancel(ended_early.id)
    done = ended(store, kept)
    assert (done.state, done.stopped, done.reason) == ("succeeded", True, "stopped as asked, with the best weights")
    assert ended(store, ended_early).state == "cancelled"
    wait_for(lambda: not trainings(running.home))
    store.resume(kept.id)
    wait_for(lambda: store.get(kept.id).state == "running")
    assert len(starts(running, kept)) == 2
    store.cancel(kept.id)
    assert ended(store, kept).state == "cancelled"


@mostly_sqlite
def test_what_hears_nothing_is_killed_after_the_grace(store: JobStore, running: Running) -> None:
    job = submit_quick(store, steps=10_000, seed=4)
    wait_for(lambda: store.get(job.id).state == "running")
    begin = time.monotonic()
    store.cancel(job.id)
    assert ended(store, job).state == "cancelled"
    assert 0.9 < time.monotonic() - begin < 60
    assert not trainings(running.home)


@mostly_sqlite
def test_a_config_of_another_version_is_a_mistake(store: JobStore, running: Running) -> None:
    done = ended(store, store.create({"name": "digits", "horsepower": 3})[0])
    assert (done.state, done.failure) == ("failed", "mistake")
    assert "horsepower" in done.reason


@mostly_sqlite
def test_jobs_get_gpus_of_their_own_in_order(
    store: JobStore, database_url: str, tmp_path: Path, four_gpus: None
) -> None:
    """Two, three and one: the third would fit beside the first, and waits for the second nevertheless."""
    with worker(database_url, tmp_path / "home", program=PROGRAM) as running:
        five, first, second, third = (submit_quick(store, steps=40, devices=count) for count in (5, 2, 3, 1))
        for job in (first, second, third):
            assert ended(store, job).state == "succeeded"
        assert store.get(five.id).state == "queued"  # which no GPUs of this machine are enough for
    given = {job.id: starts(running, job)[0] for job in (first, second, third)}
    gpus = {name: start["gpus"].split(",") for name, start in given.items()}
    assert [len(gpus[job.id]) for job in (first, second, third)] == [2, 3, 1]
    assert all(set(found) <= set(UUIDS) for found in gpus.values())
    assert store.get(second.id).gpus == gpus[second.id]
    assert not set(gpus[second.id]) & set(gpus[third.id])
    finished = store.get(first.id).finished
    assert finished is not None
    claimed = [
        event.time for job in (second, third) for event in store.events(job.id) if event.data.get("state") == "starting"
    ]
    assert finished <= claimed[0] < claimed[1]


@mostly_sqlite
def test_a_training_gives_way_and_has_a_session_of_its_own(store: JobStore, database_url: str, tmp_path: Path) -> None:
    environment = {"STN_KEYS_FILE": "/keys", "STN_DATABASE": "secret"}
    with worker(database_url, tmp_path / "home", environment, program=PROGRAM, gives_way=True) as running:
        job = submit_quick(store, steps=10_000)
        pid = wait_for(lambda: store.get(job.id).process) and pid_of(store, job)
        assert os.getpriority(os.PRIO_PROCESS, pid) == 10
        assert os.getsid(pid) == pid
        known = Path(f"/proc/{pid}/environ").read_bytes().decode()
        assert "STN_" not in known
        assert running.end() == 0
    assert store.get(job.id).state == "queued"


@mostly_sqlite
def test_a_registered_model_has_its_version_in_the_row(store: JobStore, database_url: str, tmp_path: Path) -> None:
    with worker(database_url, tmp_path / "home", program=PROGRAM, version=7) as running:
        done = ended(store, submit_quick(store))
        assert done.model_version == 7
        assert "registered" in running.log.read_text()
