"""Jobs as users see them: created once, listed, stopped, resumed, deleted; over every kind of database."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.training.jobs.rows import PLACE, WORKER, again, claimed, config, running, told
from training.jobs.creation import new_id
from training.jobs.states import Forbidden
from training.jobs.store import JobNotFound, JobStore, KeyReused


def test_a_new_job_waits(store: JobStore) -> None:
    job, new = store.create(config(devices=2), owner="anna", dataset="photos")
    assert new and store.get(job.id) == job
    assert (job.state, job.name, job.devices, job.owner, job.dataset) == ("queued", "digits", 2, "anna", "photos")
    assert (job.attempt, job.crashes, job.step, job.beat, job.gpus, job.stopped) == (0, 0, 0, 0, [], False)
    assert job.config == config(devices=2)
    assert job.created.tzinfo is UTC and abs(datetime.now(UTC) - job.created) < timedelta(minutes=1)
    (event,) = store.events(job.id)
    assert (event.id, event.kind, event.data["state"], event.time) == (1, "state", "queued", job.created)


def test_the_same_key_and_body_give_the_same_job(store: JobStore) -> None:
    job, _ = store.create(config(), owner="anna", key="k")
    assert store.create(dict(reversed(config().items())), owner="anna", key="k") == (job, False)
    with pytest.raises(KeyReused, match="'k'"):
        store.create(config(seed=1), owner="anna", key="k")
    with pytest.raises(KeyReused):
        store.create(config(), owner="anna", key="k", dataset="photos")
    assert len(store.list()) == 1


def test_a_key_is_its_owners(store: JobStore) -> None:
    made = [store.create(config(), owner=owner, key="k") for owner in ("anna", "bert", None)]
    assert all(new for _, new in made)
    assert store.create(config(), key="k") == (made[2][0], False)
    assert store.create(config(seed=1))[1] and store.create(config(seed=1))[1]  # without a key


def test_no_job_with_an_unknown_id(store: JobStore) -> None:
    for call in (store.get, store.stop, store.cancel, store.resume, store.delete, store.events):
        with pytest.raises(JobNotFound, match="'nothing'"):
            call("nothing")


def test_the_newest_are_listed_first_page_by_page(store: JobStore) -> None:
    ids = [store.create(config(seed=seed))[0].id for seed in range(5)]
    assert ids == sorted(ids)
    assert [job.id for job in store.list()] == ids[::-1]
    page = store.list(limit=2)
    assert [job.id for job in page] == ids[:2:-1]
    assert [job.id for job in store.list(after=page[-1].id, limit=2)] == ids[2:0:-1]
    store.cancel(ids[1])
    assert [job.id for job in store.list(states=["cancelled", "failed"])] == [ids[1]]
    assert store.counts()["queued"] == 4 and store.counts()["cancelled"] == 1 and store.counts()["running"] == 0


def test_ids_sort_by_creation_also_where_the_clock_is_set_back() -> None:
    now = datetime(2026, 8, 1, tzinfo=UTC)
    first = new_id(now, None)
    second = new_id(now - timedelta(hours=1), first)
    third = new_id(now + timedelta(seconds=1), second)
    assert first < second < third and len({len(first), len(second), len(third)}) == 1


def test_verbs_on_a_job_that_runs(store: JobStore) -> None:
    job = running(store)
    for verb in (store.stop, store.stop):
        assert (verb(job.id).state, store.beat(job).asked) == ("stopping", "stop")
    for verb in (store.cancel, store.cancel):
        assert (verb(job.id).state, store.beat(job).asked) == ("stopping", "cancel")
    with pytest.raises(Forbidden, match="stop needs a job that is not being cancelled, and the job is stopping"):
        store.stop(job.id)
    assert told(store, job) == ["queued", "starting", "running", "stopping", "stopping"]


def test_cancel_ends_a_job_that_waits(store: JobStore) -> None:
    job, _ = store.create(config())
    job = store.cancel(job.id)
    assert job.state == "cancelled" and job.finished is not None
    assert store.claim(WORKER, PLACE, 1) is None


def test_a_job_that_waits_for_its_next_attempt_can_be_stopped(store: JobStore) -> None:
    job = store.interrupt(running(store), "killed by signal 9", wait=0.0, crashed=True)
    assert store.stop(job.id) == store.stop(job.id)
    assert store.get(job.id).state == "queued"
    job = again(store)
    assert (job.state, job.asked, job.attempt) == ("starting", "stop", 2)
    assert store.record(job, [], state="running").state == "stopping"


def test_resume_begins_anew(store: JobStore) -> None:
    job = store.interrupt(running(store), "crashed", wait=0.0, crashed=True)
    store.finish(again(store), "failed", "it crashed again", failure="crash")
    job = store.resume(job.id)
    assert (job.state, job.crashes, job.failure, job.asked, job.finished) == ("queued", 0, None, None, None)
    assert again(store).attempt == 3
    with pytest.raises(Forbidden, match="resume needs a job that has ended, and the job is starting") as refusal:
        store.resume(job.id)
    assert refusal.value.state == "starting"


def test_a_deleted_job_leaves_nothing(store: JobStore) -> None:
    kept, _ = store.create(config())
    store.cancel(kept.id)
    job = claimed(store)
    with pytest.raises(Forbidden, match="delete needs a job that has ended"):
        store.delete(job.id)
    store.finish(job, "failed", "a mistake", failure="mistake")
    store.delete(job.id)
    assert [job.id for job in store.list()] == [kept.id]
    with pytest.raises(JobNotFound):
        store.events(job.id)
    assert len(store.events(kept.id)) == 2


def test_a_data_set_is_used_until_its_jobs_have_ended(store: JobStore) -> None:
    jobs = [store.create(config(), dataset=name)[0].id for name in ("photos", "photos", "signs")]
    assert store.jobs_using("photos") == jobs[:2]
    store.cancel(jobs[0])
    assert store.jobs_using("photos") == [jobs[1]] and store.jobs_using("other") == []


def test_events_come_page_by_page(store: JobStore) -> None:
    job = running(store)
    job = store.record(job, [("progress", {"step": step}) for step in range(5)], step=4, steps=9, eta_seconds=1.5)
    assert (job.step, job.steps, job.eta_seconds) == (4, 9, 1.5)
    assert [event.id for event in store.events(job.id)] == [*range(1, 9)]
    assert [event.data for event in store.events(job.id, after=4, limit=2)] == [{"step": 1}, {"step": 2}]
    assert store.events(job.id, after=8) == []


def test_what_a_database_cannot_keep_is_replaced(store: JobStore) -> None:
    job = running(store)
    lost = {"step": 1, "loss": float("nan"), "text": "a\0b\ud800", "list": [float("inf"), 1.5]}
    store.record(job, [("metrics", lost)])
    kept = store.events(job.id)[-1].data
    assert kept == {"step": 1, "loss": None, "text": "a\ufffdb?", "list": [None, 1.5]}
    assert store.last_metrics_step(job) == 1
    assert store.finish(job, "failed", "died\0\ud800").reason == "died\ufffd?"
