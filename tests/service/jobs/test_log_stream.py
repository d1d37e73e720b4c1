"""The log of a job as Server-Sent Events: each character once, wherever a stream breaks off."""

import os
import random
import signal
import time
from pathlib import Path

import httpx2
import pytest

from service.settings import Settings
from tests.service.jobs.driven import begun, config, finished, write_run
from tests.service.jobs.sse import ACCEPT, Sent, Watcher, messages
from tests.service.running import serving as serving_apart
from tests.service.serving import serving
from training.jobs.job import Job
from training.jobs.store import JobStore
from training.storage.places import FolderStorage
from training.storage.runs import Publisher

STRANGE = "step 1\r\na\u2028b\x85c\0\x1b[1m"
CHARACTERS = "aé\n€b😀\n"
"""Of one, two, three and four bytes."""


@pytest.fixture
def job(store: JobStore) -> Job:
    """One that runs."""
    store.create(config())
    return begun(store)


@pytest.fixture
def log(job_home: Path, job: Job) -> Path:
    return write_run(job_home, job.id, "") / "console.txt"


def path_of(job: Job) -> str:
    return f"/v1/jobs/{job.id}/logs"


def add(log: Path, content: bytes) -> None:
    with log.open("ab") as file:
        file.write(content)


def told(sent: list[Sent]) -> str:
    """The text in the messages of a stream, whose numbers rise, `end` left out."""
    ids = [one.id for one in sent if one.id is not None]
    assert ids == sorted(set(ids))
    return "".join(one.data for one in sent if one.kind is None)


def after(api: httpx2.Client, job: Job, place: int, **query: int) -> str:
    headers = {**ACCEPT, "Last-Event-ID": str(place)}
    return told(messages(api.get(path_of(job), params=query, headers=headers).text))


def test_a_message_is_numbered_by_the_byte_after_it_and_end_is_the_last(
    api: httpx2.Client, store: JobStore, job_home: Path, job: Job
) -> None:
    finished(store, job_home, job)
    answer = api.get(path_of(job), headers=ACCEPT)
    assert answer.text == (
        'retry: 1000\n\ndata: "first\\nsecond\\nthird\\n"\nid: 19\n\n'
        'event: end\ndata: {"state":"succeeded","reason":"the training is done"}\n\n'
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["x-accel-buffering"], answer.headers["cache-control"]) == ("no", "no-store")
    assert api.get(path_of(job)).text == "first\nsecond\nthird\n"
    last = api.get(path_of(job), params={"tail": 1}, headers=ACCEPT)
    assert (told(messages(last.text)), last.headers["x-stn-offset"]) == ("third\n", "13")


def test_it_goes_on_exactly_after_the_last_message(api: httpx2.Client, store: JobStore, job: Job, log: Path) -> None:
    add(log, CHARACTERS.encode())
    store.finish(job, "failed", "exit code 2", failure="mistake")
    for count in range(len(CHARACTERS) + 1):
        place = len(CHARACTERS[:count].encode())
        assert after(api, job, place) == CHARACTERS[count:]
        # The header is the newest: a browser connects again to the address that it was given first.
        assert after(api, job, place, tail=1, after=1) == CHARACTERS[count:]
    assert after(api, job, 10**15 - 1) == ""


@pytest.mark.parametrize("last", ["x", "-1", "1.0", "9" * 16])
def test_a_strange_place_is_refused(api: httpx2.Client, job: Job, last: str) -> None:
    answer = api.get(path_of(job), headers={**ACCEPT, "Last-Event-ID": last})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_character_comes_when_all_of_it_was_written(url: str, store: JobStore, job: Job, log: Path) -> None:
    watcher = Watcher(url, path_of(job))
    for count, part in enumerate((b"a\xc3", b"\xa9\xf0\x9f", b"\x98\x80", b"z\xe2\x82"), 1):
        add(log, part)
        watcher.until(count)
    store.finish(job, "failed", "exit code 2", failure="mistake")
    assert watcher.join().messages[:-1] == [
        *((None, 1, "a"), (None, 3, "é"), (None, 7, "😀"), (None, 8, "z")),
        (None, 10, "\ufffd"),  # of which there never was more
    ]
    assert watcher.messages[-1].kind == "end"


@pytest.mark.parametrize("content", [STRANGE.encode(), b"\xff\xfea\xc3(\x80", b"x" + "é€😀".encode() * 30_000])
def test_whatever_was_written_comes(api: httpx2.Client, store: JobStore, job: Job, log: Path, content: bytes) -> None:
    add(log, content)
    store.finish(job, "failed", "exit code 2", failure="mistake")
    answer = api.get(path_of(job), headers=ACCEPT)
    assert told(messages(answer.text)) == content.decode(errors="replace")


def test_where_nothing_is_written_a_comment_says_that_the_stream_lives(
    url: str, job: Job, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.jobs.stream.HEARTBEAT", 0.2)
    watcher = Watcher(url, path_of(job))
    end = time.monotonic() + 30
    while watcher.text.count(": ping\n\n") < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    watcher.stop()


def test_after_the_job_has_gone_on_it_goes_on_from_there(url: str, store: JobStore, job: Job, log: Path) -> None:
    add(log, b"one\n")
    store.finish(job, "failed", "exit code 2", failure="mistake")
    first = Watcher(url, path_of(job)).join()
    assert [sent.kind for sent in first.messages] == [None, "end"]
    store.resume(job.id)
    again = Watcher(url, path_of(job), **{"Last-Event-ID": str(first.ids[-1])})
    add(log, b"two\n")
    again.until(1)
    store.cancel(job.id)
    assert told(again.join().messages) == "two\n"


def test_a_job_that_is_deleted_ends_its_log(url: str, store: JobStore) -> None:
    job = store.create(config())[0]
    watcher = Watcher(url, path_of(job))
    while not watcher.text:
        time.sleep(0.01)
    store.cancel(job.id)
    store.delete(job.id)
    assert watcher.join().error is None


@pytest.mark.slow
def test_it_goes_on_after_a_restart_also_in_the_middle_of_a_character(
    url: str, store: JobStore, job_home: Path, job: Job, log: Path, tmp_path: Path
) -> None:
    with serving_apart(job_home, log=tmp_path / "log") as service:
        service.wait_until_ready()
        add(log, b"a\xf0\x9f")
        first = Watcher(service.url, path_of(job)).until(1)
        service.end()
    assert first.join().messages == [(None, 1, "a")]  # without `end`
    add(log, b"\x98\x80")
    second = Watcher(url, path_of(job), **{"Last-Event-ID": "1"}).until(1)
    store.finish(job, "failed", "exit code 2", failure="mistake")
    assert told(second.join().messages) == "😀"


@pytest.mark.slow
def test_it_goes_on_over_services_that_are_killed_without_a_gap_or_a_repeat(
    store: JobStore, job_home: Path, job: Job, log: Path, tmp_path: Path
) -> None:
    """Each at a random moment, while lines are written."""
    port, last, text, lines = "0", 0, "", 0
    for number in range(4):
        with serving_apart(job_home, "--port", port, log=tmp_path / f"log{number}") as service:
            port = service.url.rpartition(":")[2]
            service.wait_until_ready()
            watcher = Watcher(service.url, path_of(job), **{"Last-Event-ID": str(last)})
            until = time.monotonic() + random.uniform(1, 2)
            while time.monotonic() < until:
                lines += 1
                add(log, f"line {lines} é€😀\n".encode())
                time.sleep(0.003)
            if number == 3:
                store.finish(job, "failed", "exit code 2", failure="mistake")
            else:
                watcher.until(1)
                os.killpg(service.process.pid, signal.SIGKILL)
            watcher.join()
            text += told(watcher.messages)
            last = watcher.ids[-1]
    assert watcher.messages[-1].kind == "end"
    assert text == log.read_text()


def test_it_does_not_end_before_all_came_from_a_storage_that_is_silent(
    prepared: None, store: JobStore, job_home: Path, job: Job, log: Path, tmp_path: Path
) -> None:
    """The service is on another machine than the job."""
    mounted, away = tmp_path / "mounted", tmp_path / "away"
    mounted.mkdir()
    add(log, b"one\n")
    Publisher(FolderStorage(mounted), job.id, log.parent, job.attempt).publish()
    place = Settings(home=tmp_path / "replica", storage=str(mounted), database=f"sqlite:///{job_home}/jobs.sqlite")
    with serving(place) as address:
        watcher = Watcher(f"http://{address}", path_of(job)).until(1)
        mounted.rename(away)
        add(log, b"two\n")
        Publisher(FolderStorage(away), job.id, log.parent, job.attempt).publish()
        store.finish(job, "failed", "exit code 2", failure="mistake")
        time.sleep(2)
        assert len(watcher.messages) == 1
        away.rename(mounted)
        assert told(watcher.join().messages) == "one\ntwo\n"
        assert watcher.messages[-1].kind == "end"
