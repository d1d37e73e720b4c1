"""Looking at jobs, and what can be asked of them in which state."""

from pathlib import Path

import httpx2
import pytest

from tests.service.jobs.driven import begun, config, finished
from training.jobs.job import Job
from training.jobs.store import JobStore


def made(store: JobStore, name: str = "digits") -> Job:
    return store.create(config(name=name))[0]


def ask(api: httpx2.Client, job: Job, verb: str) -> tuple[int, str]:
    """Status, and the state of the job as the answer or the refusal has it."""
    answer = api.post(f"/v1/jobs/{job.id}/{verb}")
    return answer.status_code, answer.json()["state"]


def test_jobs_are_listed_page_by_page_the_newest_first(api: httpx2.Client, store: JobStore) -> None:
    ids = [made(store).id for _ in range(5)]
    first = api.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in first["jobs"]] == ids[:2:-1]
    second = api.get("/v1/jobs", params={"limit": 3, "after": first["next"]}).json()
    assert [job["id"] for job in second["jobs"]] == ids[2::-1]


def test_the_last_page_has_no_next(api: httpx2.Client, store: JobStore) -> None:
    for _ in range(2):
        made(store)
    count = len(store.list(limit=200))
    assert api.get("/v1/jobs", params={"limit": 200}).json()["next"] is None
    if count <= 200:
        assert api.get("/v1/jobs", params={"limit": count}).json()["next"] is None
        assert api.get("/v1/jobs", params={"limit": count - 1}).json()["next"] is not None


def test_jobs_are_chosen_by_their_states(api: httpx2.Client, store: JobStore) -> None:
    waiting, gone = made(store), made(store)
    store.cancel(gone.id)
    found = api.get("/v1/jobs", params={"status": ["queued", "running"]}).json()["jobs"]
    assert [job["id"] for job in found] == [waiting.id]
    assert gone.id in [job["id"] for job in api.get("/v1/jobs", params={"status": "cancelled"}).json()["jobs"]]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "status=done", "after=x%2Fy", "after="])
def test_a_strange_page_is_refused(api: httpx2.Client, query: str) -> None:
    assert api.get(f"/v1/jobs?{query}").status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        *(("POST", f"/{verb}") for verb in ("cancel", "stop", "resume")),
        *(
            ("GET", f"/{what}")
            for what in ("events", "metrics", "logs", "logs?follow=true", "checkpoints", "artifacts")
        ),
        ("GET", "/artifacts/config.json"),
    ],
)
def test_an_unknown_job_is_not_found(api: httpx2.Client, method: str, path: str) -> None:
    answer = api.request(method, f"/v1/jobs/nobody{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    stream = api.request(method, f"/v1/jobs/nobody{path}", headers={"Accept": "text/event-stream"})
    assert stream.status_code == 404


@pytest.mark.parametrize("job_id", ["A", "x" * 33, "a-b", "a%00", "%F0%9F%98%80"])
def test_an_id_that_none_can_have_is_refused(api: httpx2.Client, job_id: str) -> None:
    assert api.get(f"/v1/jobs/{job_id}").status_code in (404, 422)


def test_verbs_on_a_job_that_waits(api: httpx2.Client, store: JobStore) -> None:
    job = made(store)
    assert ask(api, job, "resume") == (409, "queued")
    assert ask(api, job, "stop") == (409, "queued")
    assert api.delete(f"/v1/jobs/{job.id}").json()["state"] == "queued"
    assert ask(api, job, "cancel") == (202, "cancelled")
    assert ask(api, job, "cancel") == (409, "cancelled")
    assert ask(api, job, "resume") == (202, "queued")


def test_verbs_on_a_job_that_runs(api: httpx2.Client, store: JobStore) -> None:
    job = made(store)
    begun(store)
    assert ask(api, job, "resume") == (409, "running")
    assert ask(api, job, "stop") == (202, "stopping")
    assert ask(api, job, "stop") == (202, "stopping")
    assert api.get(f"/v1/jobs/{job.id}").json()["asked"] == "stop"
    assert ask(api, job, "cancel") == (202, "stopping")
    assert ask(api, job, "stop") == (409, "stopping")
    assert api.delete(f"/v1/jobs/{job.id}").status_code == 409


def test_a_refusal_says_why(api: httpx2.Client, store: JobStore) -> None:
    job = made(store)
    problem = api.post(f"/v1/jobs/{job.id}/stop").json()
    assert problem["detail"] == "stop needs a job that has begun (cancel it), and the job is queued"


def test_a_finished_job_has_its_model_and_its_report(api: httpx2.Client, store: JobStore, job_home: Path) -> None:
    made(store, "tiny")
    job = finished(store, job_home, begun(store))
    shown = api.get(f"/v1/jobs/{job.id}").json()
    assert shown["model"] == {"name": "tiny", "version": 1, "link": "/v1/models/tiny/versions/1"}
    assert api.get(shown["model"]["link"]).json()["version"] == 1
    assert "<h1>scores</h1>" in api.get(shown["links"]["report"]).text
    assert (shown["scores"]["accuracy"], shown["step"], shown["steps"]) == (0.875, 20, 20)
    for link in shown["links"].values():
        assert api.get(link).status_code == 200


def test_a_job_that_is_deleted_is_gone_with_its_run_folder(api: httpx2.Client, store: JobStore, job_home: Path) -> None:
    made(store)
    job = finished(store, job_home, begun(store))
    run = job_home / "runs" / job.id
    assert run.exists()
    answer = api.delete(f"/v1/jobs/{job.id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not run.exists()
    assert list((job_home / "runs").glob(".*")) == []
    assert api.get(f"/v1/jobs/{job.id}").status_code == 404
    assert api.get(f"/v1/jobs/{job.id}/events").status_code == 404


def test_a_scrape_counts_jobs_by_their_states(api: httpx2.Client, store: JobStore) -> None:
    made(store)
    lines = api.get("/metrics").text.splitlines()
    assert 'stn_jobs{state="queued"} 1.0' in lines
    assert sum(line.startswith("stn_jobs{") for line in lines) == 8


def test_a_job_that_waits_says_why(api: httpx2.Client, store: JobStore) -> None:
    first, second = made(store), made(store)
    assert api.get(f"/v1/jobs/{first.id}").json()["waiting"] == "waits for a worker: none has given a sign of life"
    store.sign("somebody", "elsewhere", 1)
    listed = api.get("/v1/jobs", params={"status": "queued"}).json()["jobs"]
    assert [job["waiting"] for job in listed] == ["waits for 1 job before it", "is the next: waits for a device"]
    store.sign_off("somebody")
    assert ask(api, second, "cancel") == (202, "cancelled")
    assert api.get(f"/v1/jobs/{second.id}").json()["waiting"] is None
