"""A worker's side: who gets which job, and that whoever lost it writes nothing; over every kind of database."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.training.jobs.rows import PLACE, WORKER, again, claimed, config, running, told
from training.jobs.database import Database, clock
from training.jobs.job import Job
from training.jobs.store import JobStore, LeaseLost
from training.jobs.tables import jobs


def test_jobs_are_claimed_in_their_order(store: JobStore) -> None:
    ids = [store.create(config())[0].id for _ in range(3)]
    claims = [store.claim(WORKER, PLACE, 1) for _ in range(4)]
    assert [job and job.id for job in claims] == [*ids, None]
    first = claims[0]
    assert first is not None
    assert (first.state, first.attempt, first.worker, first.place) == ("starting", 1, WORKER, PLACE)
    assert [job.id for job in store.held()] == ids


def test_a_job_that_does_not_fit_yet_is_not_overtaken(store: JobStore) -> None:
    small, large, late, giant = (store.create(config(devices=devices))[0].id for devices in (1, 4, 1, 16))
    got = store.claim(WORKER, PLACE, 4, 8)
    assert got is not None and got.id == small
    assert store.claim(WORKER, PLACE, 3, 8) is None
    got = store.claim("worker-2", PLACE, 1, 2)  # could never run the large one
    assert got is not None and got.id == late
    got = store.claim(WORKER, PLACE, 4, 8)
    assert got is not None and got.id == large
    assert store.claim(WORKER, PLACE, 8, 8) is None and store.get(giant).state == "queued"


def test_a_worker_that_lost_its_job_writes_nothing(store: JobStore) -> None:
    job = running(store)
    seen = store.held()[0]
    mine = store.take_over(seen, "worker-2", "boot:2")
    assert (mine.attempt, mine.worker, mine.place, mine.process) == (2, "worker-2", "boot:2", "4711.12345")
    before = store.get(job.id), store.events(job.id)
    for write in writes(store, job):
        with pytest.raises(LeaseLost, match=f"job {job.id} is at attempt 2 of worker-2"):
            write()
    assert (store.get(job.id), store.events(job.id)) == before
    assert store.beat(mine).state == "running"


def test_nobody_takes_over_from_a_worker_that_beats(store: JobStore) -> None:
    job = claimed(store)
    seen = store.held()[0]
    job = store.beat(job)
    with pytest.raises(LeaseLost, match="lives"):
        store.take_over(seen, "worker-2", "boot:2")
    assert store.beat(job).worker == WORKER


def test_only_one_takes_a_job_over(store: JobStore) -> None:
    claimed(store)
    seen = store.held()[0]
    store.take_over(seen, "worker-2", "boot:2")
    with pytest.raises(LeaseLost):
        store.take_over(seen, "worker-3", "boot:3")


def test_a_job_that_ended_or_was_deleted_is_held_no_longer(store: JobStore) -> None:
    job = running(store)
    store.finish(job, "failed", "no", failure="mistake")
    for write in writes(store, job)[:-1]:  # all but finish, which is repeated harmlessly
        with pytest.raises(LeaseLost, match="is failed"):
            write()
    store.delete(job.id)
    for write in writes(store, job):
        with pytest.raises(LeaseLost, match="has been deleted"):
            write()


def test_a_process_is_recorded(store: JobStore) -> None:
    job = store.begun(claimed(store), "4711.12345", ["GPU-1", "GPU-2"])
    assert (job.state, job.process, job.gpus) == ("starting", "4711.12345", ["GPU-1", "GPU-2"])
    started = job.started
    assert started is not None
    job = store.interrupt(job, "crashed", wait=0.0, crashed=True)
    assert (job.process, job.started) == (None, started)
    job = again(store)
    assert job.gpus == [] and store.begun(job, "4712.12346", []).started == started


def test_an_interrupted_job_waits_before_its_next_attempt(store: JobStore) -> None:
    job = store.interrupt(running(store), "killed by signal 9", wait=2.0, crashed=True)
    assert (job.state, job.reason, job.crashes) == ("queued", "killed by signal 9", 1)
    assert told(store, job)[-2:] == ["interrupted", "queued"]
    assert store.claim(WORKER, PLACE, 1) is None
    other, _ = store.create(config())
    assert again(store).id == other.id  # a job that is not due yet holds up nobody
    time.sleep(2.05)
    assert again(store).id == job.id


def test_a_clock_that_jumps_delays_a_retry_by_a_minute_at_most(store: JobStore, database_url: str) -> None:
    store.interrupt(running(store), "crashed", wait=10_000.0, crashed=True)
    assert store.claim(WORKER, PLACE, 1) is None
    database = Database(database_url)
    with database.write() as connection:  # as if the clock had been set back by an hour since
        connection.execute(update(jobs).values(not_before=clock(connection) + timedelta(hours=1)))
    database.close()
    assert again(store).attempt == 2


def test_crashes_are_counted_until_there_is_a_newer_checkpoint(store: JobStore) -> None:
    def crash(**how: bool) -> int:
        return store.interrupt(job, "crashed", wait=0.0, **{"crashed": True, **how}).crashes

    job = running(store)
    assert crash() == 1
    job = again(store)
    assert crash() == 2
    job = again(store)
    assert crash(crashed=False) == 2  # the worker was stopped
    job = again(store)
    assert crash(progressed=True) == 1


def test_an_interrupted_job_that_is_being_cancelled_ends(store: JobStore) -> None:
    job = running(store)
    store.cancel(job.id)
    job = store.interrupt(job, "killed by signal 9", wait=0.0, crashed=True)
    assert job.state == "cancelled" and job.finished is not None
    assert told(store, job)[-2:] == ["interrupted", "cancelled"]


def test_an_end_is_recorded_once(store: JobStore) -> None:
    job = running(store)
    ended = store.finish(job, "succeeded", "trained", scores={"accuracy": 0.5}, model_version=3)
    assert (ended.state, ended.scores, ended.model_version) == ("succeeded", {"accuracy": 0.5}, 3)
    assert ended.process is None and ended.finished is not None
    assert store.finish(job, "succeeded", "trained") == ended
    job = store.interrupt(running(store), "crashed", wait=0.0, crashed=True)
    assert store.interrupt(job, "crashed", wait=0.0, crashed=True) == job


@pytest.mark.parametrize(("version", "state"), [(None, "cancelled"), (3, "succeeded")])
def test_a_cancelled_job_succeeds_only_with_a_model_that_is_registered(
    store: JobStore, version: int | None, state: str
) -> None:
    job = running(store)
    store.cancel(job.id)
    job = store.finish(job, "succeeded", "trained", model_version=version)
    assert (job.state, job.asked, job.failure) == (state, None, None)


def test_a_step_is_told_once(store: JobStore) -> None:
    job = running(store)
    assert store.last_metrics_step(job) is None
    first = [("metrics", {"step": 10}), ("sample", {"step": 5, "file": "a"}), ("metrics", {"step": 20})]
    store.record(job, first)
    store.record(job, [("metrics", {"step": 20}), ("sample", {"step": 5, "file": "a"}), ("metrics", {"step": 30})])
    told = [(event.kind, event.data["step"]) for event in store.events(job.id) if event.kind != "state"]
    assert told == [("metrics", 10), ("sample", 5), ("metrics", 20), ("metrics", 30)]
    assert store.last_metrics_step(job) == 30


def writes(store: JobStore, job: Job) -> list:
    """Everything that a worker may do with its job."""
    return [
        lambda: store.beat(job),
        lambda: store.begun(job, "1.1", []),
        lambda: store.record(job, [("progress", {})], step=1, state="running"),
        lambda: store.take_over(job, "worker-9", PLACE),
        lambda: store.interrupt(job, "crashed", wait=0.0, crashed=True),
        lambda: store.finish(job, "failed", "no"),
    ]
