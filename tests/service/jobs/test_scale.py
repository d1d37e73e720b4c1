"""Three services and two workers at one PostgreSQL: each job that is posted runs once, whoever was asked."""

import contextlib
import logging
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.databases import PostgreSQL, postgresql
from tests.service.running import serving
from tests.training.jobs.workers import PROGRAM, ended, states, trainings, worker
from training.jobs.job import Job
from training.jobs.store import JobStore

__all__ = ["postgresql"]

log = logging.getLogger(__name__)

SMALL = {
    "preset": "digits",
    "name": "many",
    "distortion": {"size": [24, 24]},
    "model": {"size": [12, 12], "filters": [4], "units": 8, "localization_filters": 4},
    "trainer": {"max_steps": 2, "accelerator": "cpu"},
}
THREADS = 6


class Posted(NamedTuple):
    """An answer to a POST."""

    number: int
    id: str
    seconds: float
    refused: int
    """Times, with 503, before it was taken."""


@pytest.mark.parametrize(
    ("count", "real"),
    [
        pytest.param(12, False, marks=pytest.mark.slow),
        pytest.param(200, False, marks=pytest.mark.exhaustive),
        pytest.param(200, True, marks=pytest.mark.exhaustive),
    ],
)
def test_each_job_that_is_posted_to_one_of_three_services_runs_once(
    postgresql: PostgreSQL, home: Path, tmp_path: Path, count: int, real: bool
) -> None:
    """Every third job is posted to two of them at once, with one key."""
    url = postgresql.database()
    program: dict[str, Any] = {} if real else {"program": PROGRAM}
    with contextlib.ExitStack() as stack:
        services = [
            stack.enter_context(serving(home, log=tmp_path / f"service{number}", database=url)) for number in range(3)
        ]
        for _ in range(2):
            stack.enter_context(worker(url, home, slots=2, **program))
        store = stack.enter_context(contextlib.closing(JobStore(url)))
        begin = time.monotonic()
        posted = post_all([service.url for service in services], count)
        took = time.monotonic() - begin
        ids = {answer.number: answer.id for answer in posted}
        assert len({*ids.values()}) == count
        assert all(ids[answer.number] == answer.id for answer in posted)
        assert sorted(job.id for job in store.list(limit=2 * count)) == sorted(ids.values())
        jobs = [ended(store, job_id, 7200) for job_id in ids.values()]
        tell(posted, took, time.monotonic() - begin)
        for job in jobs:
            ran_once(store, home, job, real)
        assert len({job.worker for job in jobs}) == 2
        assert not trainings(home)
        for service in services:
            shown = httpx2.get(f"{service.url}/v1/jobs?limit=200", timeout=60).json()["jobs"]
            assert Counter(job["state"] for job in shown) == {"succeeded": count}


def post_all(urls: list[str], count: int) -> list[Posted]:
    """Round robin, from several threads."""
    asked = [(number, number) for number in range(count)] + [(number, number + 1) for number in range(0, count, 3)]
    asked.sort()  # both requests of a key at the same time

    def post(number: int, place: int) -> Posted:
        begin = time.monotonic()
        headers = {"Idempotency-Key": f"key-{number}"}
        for again in range(30):  # on a busy machine, a database may take longer than anybody waits
            answer = httpx2.post(f"{urls[place % len(urls)]}/v1/jobs", json=SMALL, headers=headers, timeout=60)
            if answer.status_code == 202:
                return Posted(number, answer.json()["id"], time.monotonic() - begin, again)
            assert answer.status_code == 503, answer.text
            time.sleep(float(answer.headers["Retry-After"]))
        raise AssertionError(answer.text)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda which: post(*which), asked))


def ran_once(store: JobStore, home: Path, job: Job, real: bool) -> None:
    assert (job.state, job.attempt, job.crashes) == ("succeeded", 1, 0), job
    assert states(store, job) == ["queued", "starting", "running", "succeeded"]
    run = home / "runs" / job.id
    if real:
        assert (run / "log.txt").read_text().count(": seed 0") == 1
        assert job.scores is not None and "test/accuracy" in job.scores
    else:
        assert len((run / "starts.jsonl").read_text().splitlines()) == 1


def tell(posted: list[Posted], posting: float, total: float) -> None:
    seconds = sorted(answer.seconds for answer in posted)
    median, worst = statistics.median(seconds), seconds[-1]
    log.info("%d requests in %.1f s, median %.3f s, worst %.3f s", len(seconds), posting, median, worst)
    log.info("%d were refused with 503 before", sum(answer.refused for answer in posted))
    log.info("all jobs had ended after %.0f s", total)
