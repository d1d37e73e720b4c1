"""What becomes of jobs' requests and streams when the service ends, in good order or by kill -9."""

import json
import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.client import Client
from service.jobs.stream import EVENTS
from tests.service.jobs.driven import begun, config, finished, store_at
from tests.service.jobs.sse import Watcher
from tests.service.running import serving
from training.jobs.job import Job
from training.jobs.store import JobStore


def line(step: int) -> tuple[Any, dict[str, Any]]:
    return "metrics", {"step": step, "val/loss": 1 / step}


def running(store: JobStore) -> Job:
    store.create(config())
    return begun(store)


@pytest.mark.slow
def test_a_server_that_ends_closes_streams_at_once_and_waits_for_none(home: Path, tmp_path: Path) -> None:
    store = store_at(home)
    job = running(store)
    with serving(home, log=tmp_path / "log") as service:
        service.wait_until_ready()
        kinds = (("events", EVENTS), ("logs", EVENTS), ("logs?follow=true", "text/plain")) * 4
        watchers = [Watcher(service.url, f"/v1/jobs/{job.id}/{what}", Accept=kind) for what, kind in kinds]
        for watcher in watchers[::3]:
            watcher.until(3)
        while not all(watcher.status for watcher in watchers):
            time.sleep(0.01)
        service.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        for watcher in watchers:
            assert watcher.join().error is None  # closed whole, not cut
            assert "end" not in [sent.kind for sent in watcher.messages]
        assert time.monotonic() - began < 15
        assert service.process.wait(30) == 0
        assert time.monotonic() - began < 20  # the seconds for requests
    assert "Traceback" not in service.log.read_text()
    store.close()


@pytest.mark.slow
def test_streams_go_on_while_the_server_still_takes_requests(home: Path, tmp_path: Path) -> None:
    store = store_at(home)
    job = running(store)
    with serving(home, log=tmp_path / "log", drain_delay="1.5") as service:
        service.wait_until_ready()
        watcher = Watcher(service.url, f"/v1/jobs/{job.id}/events").until(3)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        store.record(job, [line(1)])
        watcher.until(4)
        watcher.join()
        assert service.process.wait(60) == 0
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.exhaustive), 2])
def test_a_stream_goes_on_over_services_that_are_killed_without_a_gap_or_a_repeat(
    home: Path, tmp_path: Path, workers: int
) -> None:
    """One service after the other on one port, each killed at a random moment; the client does not notice."""
    store = store_at(home)
    job = running(store)
    ids: list[int] = []
    port = "0"
    reader: threading.Thread | None = None
    step = 0
    for number in range(3):
        arguments = ("--workers", str(workers), "--port", port)
        with serving(home, *arguments, log=tmp_path / f"log{number}") as service:
            port = service.url.rpartition(":")[2]
            service.wait_until_ready()
            children = service.children()
            if reader is None:
                reader = threading.Thread(target=_follow, args=(service.url, job.id, ids), daemon=True)
                reader.start()
            seen, until = len(ids), 0.0
            while not until or time.monotonic() < until:
                assert step < 3000
                step += 1
                store.record(job, [line(step)])
                time.sleep(0.01)
                if not until and len(ids) > seen:  # it has connected again
                    until = time.monotonic() + random.uniform(0.0, 0.6)
            os.killpg(service.process.pid, signal.SIGKILL)
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            service.process.wait()
        step += 1
        store.record(job, [line(step)])
    with serving(home, "--port", port, log=tmp_path / "log"):
        finished(store, home, job)
        assert reader is not None
        reader.join(60)
        assert not reader.is_alive()
    assert ids == list(range(1, store.last_event(job.id) + 1))
    store.close()


def _follow(url: str, job_id: str, ids: list[int]) -> None:
    with Client(url, retries=50, timeout=300.0) as client:
        for event in client.jobs.events(job_id):
            ids.append(event.id)


@pytest.mark.slow
def test_a_job_that_was_posted_to_a_service_that_was_killed_is_there_once_or_not_at_all(
    home: Path, tmp_path: Path
) -> None:
    """Killed at random moments around a POST; the same key finds the job that was made, or makes it."""
    store = store_at(home)
    made = {}
    for number in range(6):
        key = f"key-{number}"
        with serving(home, log=tmp_path / f"log{number}") as service:
            service.wait_until_ready()
            threading.Timer(random.uniform(0, 0.03) if number else 0.0, service.process.kill).start()
            with suppress(httpx2.HTTPError):
                made[key] = _post(service.url, key)["id"]
            service.process.wait(60)
        there = [job for job in store.list(limit=200) if job.name == key]
        assert len(there) <= 1
        for job in there:
            assert job.state == "queued"
            assert [event.id for event in store.events(job.id)] == [1]
        with serving(home, log=tmp_path / f"log{number}b") as service:
            again = _post(service.url, key)["id"]
            assert again == _post(service.url, key)["id"] == made.get(key, again)
        assert [job.id for job in there] in ([], [again])
        assert [job.id for job in store.list(limit=200) if job.name == key] == [again]
    store.close()


def _post(url: str, key: str) -> dict[str, Any]:
    body = json.dumps({"preset": "digits", "name": key})
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    answer = httpx2.post(f"{url}/v1/jobs", content=body, headers=headers, timeout=30)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job
