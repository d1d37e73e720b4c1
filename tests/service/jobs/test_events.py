"""The events of a job, in pages and as they come."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.jobs import database
from service.jobs.feed import TICK
from tests.service.jobs.driven import begun, config, finished
from tests.service.jobs.sse import ACCEPT, Watcher, messages, read_ids
from training.jobs.job import Job
from training.jobs.store import JobStore


def running(store: JobStore) -> Job:
    """With events 1 (queued), 2 (starting), 3 (running)."""
    store.create(config())
    return begun(store)


def line(step: int) -> tuple[Any, dict[str, Any]]:
    return "metrics", {"step": step, "val/loss": 1 / step}


def path_of(job: Job) -> str:
    return f"/v1/jobs/{job.id}/events"


def test_events_come_in_pages(api: httpx2.Client, store: JobStore) -> None:
    job = running(store)
    store.record(job, [line(step) for step in range(1, 8)])
    first = api.get(path_of(job), params={"limit": 4}).json()
    assert ([event["id"] for event in first["events"]], first["next"], first["state"]) == ([1, 2, 3, 4], 4, "running")
    assert [event["kind"] for event in first["events"]] == ["state", "state", "state", "metrics"]
    rest = api.get(path_of(job), params={"after": 4}).json()
    assert [event["id"] for event in rest["events"]] == [5, 6, 7, 8, 9, 10]
    assert api.get(path_of(job), params={"after": 10}).json() == {"events": [], "next": 10, "state": "running"}


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("after=-1", {}),
        ("after=x", {}),
        ("limit=0", {}),
        ("limit=501", {}),
        ("after=99999999999", {}),
        ("", {"Last-Event-ID": "x"}),
    ],
)
def test_a_strange_place_is_refused(api: httpx2.Client, store: JobStore, query: str, headers: dict[str, str]) -> None:
    assert api.get(f"{path_of(running(store))}?{query}", headers=headers).status_code == 422


def test_a_stream_has_all_events_and_then_those_that_come_and_ends_with_the_job(
    url: str, store: JobStore, job_home: Path
) -> None:
    job = running(store)
    watcher = Watcher(url, path_of(job)).until(3)
    for step in range(1, 4):
        store.record(job, [line(100 + step)])
        watcher.until(3 + step, 2)
    finished(store, job_home, job)
    sent = watcher.join().messages
    assert watcher.ids == list(range(1, len(sent)))
    assert [one.kind for one in sent[:5]] == ["state", "state", "state", "metrics", "metrics"]
    assert sent[-1] == ("end", None, {"state": "succeeded", "reason": "the training is done"})
    assert sent[-2].data["data"]["state"] == "succeeded"
    assert watcher.error is None


def test_the_answer_says_that_it_is_a_stream_and_may_not_be_held_back(api: httpx2.Client, store: JobStore) -> None:
    job = store.create(config())[0]
    store.cancel(job.id)
    answer = api.get(path_of(job), headers=ACCEPT)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["x-accel-buffering"], answer.headers["cache-control"]) == ("no", "no-store")
    assert "content-length" not in answer.headers
    assert answer.text.startswith("retry: 1000\n\n")


def test_a_stream_goes_on_after_the_last_event(api: httpx2.Client, store: JobStore, job_home: Path) -> None:
    job = running(store)
    store.record(job, [line(step) for step in range(1, 20)])
    finished(store, job_home, job)
    whole = messages(api.get(path_of(job), headers=ACCEPT).text)
    for seen in (1, 7, whole[-2].id, 10_000):
        by_header = messages(api.get(path_of(job), headers={**ACCEPT, "Last-Event-ID": str(seen)}).text)
        by_query = messages(api.get(path_of(job), params={"after": seen}, headers=ACCEPT).text)
        assert by_header == by_query == whole[min(seen, len(whole) - 1) :]
    # The header is the newer of both: a browser connects again to the address that it was given first.
    both = api.get(path_of(job), params={"after": 2}, headers={**ACCEPT, "Last-Event-ID": "9"}).text
    assert messages(both) == whole[9:]


def test_each_watcher_gets_every_event_once_wherever_it_begins(url: str, store: JobStore, job_home: Path) -> None:
    job = running(store)
    watchers = [Watcher(url, path_of(job))]
    for tens in range(1, 131):  # more than are kept for watchers
        store.record(job, [line(10 * tens + step) for step in range(10)])
        if tens % 10 == 0:
            watchers.append(Watcher(url, path_of(job), **{"Last-Event-ID": str(tens * 5)}))
    finished(store, job_home, job)
    last = store.last_event(job.id)
    for number, watcher in enumerate(watchers):
        assert watcher.join(60).ids == list(range(number * 50 + 1, last + 1))
        assert watcher.messages[-1].kind == "end"


def test_where_nothing_happens_a_comment_says_that_the_stream_lives(
    url: str, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.jobs.stream.HEARTBEAT", 0.2)
    job = running(store)
    watcher = Watcher(url, path_of(job)).until(3)
    end = time.monotonic() + 30
    while watcher.text.count(": ping\n\n") < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert watcher.ids == [1, 2, 3]
    watcher.stop()


def test_a_job_that_goes_on_after_its_end_is_followed_again(url: str, store: JobStore) -> None:
    job = store.create(config())[0]
    store.cancel(job.id)
    assert Watcher(url, path_of(job)).join().messages[-1].data["state"] == "cancelled"
    store.resume(job.id)
    watcher = Watcher(url, path_of(job), **{"Last-Event-ID": "2"}).until(1)
    assert [(sent.id, sent.data["data"]["state"]) for sent in watcher.messages] == [(3, "queued")]
    store.cancel(job.id)
    assert watcher.join().ids == [3, 4]


def test_a_job_that_is_deleted_ends_its_streams(url: str, store: JobStore) -> None:
    job = store.create(config())[0]
    watcher = Watcher(url, path_of(job)).until(1)
    store.cancel(job.id)
    store.delete(job.id)
    assert watcher.join().error is None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the service asked the database, which it does all the same."""
    times: list[float] = []
    ask = database.JobDatabase._do

    def noted(self: database.JobDatabase, function: Any) -> Any:
        times.append(time.monotonic())
        return ask(self, function)

    monkeypatch.setattr(database.JobDatabase, "_do", noted)
    return times


def test_hundreds_of_watchers_cost_as_many_questions_as_one(
    url: str, store: JobStore, job_home: Path, asked: list[float]
) -> None:
    job = running(store)
    store.record(job, [line(step) for step in range(1, 101)])

    def go_on() -> int:
        """How often the database was asked more than one watcher would have."""
        while min(map(len, found)) < 3:  # all have come, and have what there was
            time.sleep(TICK)
        asked.clear()
        began = time.monotonic()
        for step in range(101, 111):
            store.record(job, [line(step)])
            time.sleep(0.1)
        return len(asked) - round((time.monotonic() - began) / TICK)

    async def watch() -> int:
        watchers = [asyncio.create_task(read_ids(url, path_of(job), 100, ids)) for ids in found]
        more = await asyncio.to_thread(go_on)
        await asyncio.to_thread(finished, store, job_home, job)
        await asyncio.gather(*watchers)
        return more

    found: list[list[int]] = [[] for _ in range(300)]
    assert asyncio.run(watch()) <= 3
    assert found == [list(range(101, store.last_event(job.id) + 1))] * 300


def test_where_nobody_watches_nothing_is_asked(url: str, store: JobStore, asked: list[float]) -> None:
    job = running(store)
    watcher = Watcher(url, path_of(job)).until(3)
    watcher.stop()
    store.record(job, [line(1)])
    watcher.join()
    time.sleep(0.3)
    asked.clear()
    time.sleep(3 * TICK)
    assert asked == []
