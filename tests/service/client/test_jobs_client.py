"""The clients' calls about jobs, against a real service whose jobs are driven as a worker would."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.access.keys import create_key
from service.client import AsyncClient, Client, Conflict, DeadlinePassed, NoAnswer, NotFound, WrongRequest
from service.client.job_streams import EventStream, Lines
from service.settings import Settings
from tests.service.conftest import write_model
from tests.service.jobs.driven import LINES, begun, config, finished, store_at, write_run
from tests.service.serving import serving
from training.config import DataConfig, TrainingConfig
from training.jobs.store import JobStore


@pytest.fixture(scope="module")
def job_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny" / "1.safetensors")
    return home


@pytest.fixture(scope="module")
def key(job_home: Path) -> str:
    return create_key(job_home / "keys.json", "ann", ("jobs",))


@pytest.fixture(scope="module")
def url(prepared: None, job_home: Path, key: str) -> Iterator[str]:
    with serving(Settings(home=job_home)) as address:
        yield f"http://{address}"


@pytest.fixture
def client(url: str, key: str) -> Iterator[Client]:
    with Client(url, key) as client:
        yield client


@pytest.fixture
def store(job_home: Path) -> Iterator[JobStore]:
    store = store_at(job_home)
    for job in store.list(states=["queued"], limit=200):
        store.cancel(job.id)
    yield store
    store.close()


def test_a_job_from_its_beginning_to_its_end(client: Client, store: JobStore, job_home: Path, tmp_path: Path) -> None:
    job = client.jobs.create({"preset": "digits", "name": "tiny"})
    assert (job.state, job.owner, job.config["distortion"]["rotation"], job.ended) == ("queued", "ann", 45.0, False)
    assert client.jobs.get(job.id) == job
    assert client.jobs.list(status=["queued", "running"], limit=5).jobs == [job]
    assert client.jobs.list(after=job.id).jobs == [] or job.id not in [
        one.id for one in client.jobs.list(after=job.id).jobs
    ]
    threading.Timer(0.3, lambda: finished(store, job_home, begun(store))).start()
    events = list(client.jobs.events(job.id))
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[-1].data["state"] == "succeeded"
    ended = client.jobs.wait(job.id, timeout=5.0)
    assert (ended.state, ended.ended, ended.model and ended.model.version) == ("succeeded", True, 1)
    assert client.jobs.metrics(job.id) == LINES
    assert client.jobs.events_page(job.id, after=2, limit=1).events == events[2:3]
    assert list(client.jobs.logs(job.id)) == ["first", "second", "third"]
    assert list(client.jobs.logs(job.id, tail=1, follow=True)) == ["third"]
    assert client.jobs.checkpoints(job.id) == []
    assert "report/index.html" in [file.path for file in client.jobs.artifacts(job.id)]
    copy = client.jobs.download(job.id, "model.safetensors", tmp_path / "model.safetensors")
    assert copy.read_bytes() == (job_home / "runs" / job.id / "model.safetensors").read_bytes()
    client.jobs.delete(job.id)
    with pytest.raises(NotFound):
        client.jobs.get(job.id)


def test_a_config_object_is_sent_without_folders_of_this_machine(client: Client) -> None:
    job = client.jobs.create(TrainingConfig(name="mine", data=DataConfig(name="mnist", root="/here", cache="/there")))
    assert "/here" not in str(job)
    assert job.config["data"]["name"] == "mnist"


def test_verbs_and_refusals(client: Client, store: JobStore) -> None:
    job = client.jobs.create({"name": "x"})
    with pytest.raises(Conflict, match="stop needs a job that has begun"):
        client.jobs.stop(job.id)
    begun(store)
    assert client.jobs.stop(job.id).asked == "stop"
    assert client.jobs.cancel(job.id).asked == "cancel"
    other = client.jobs.create({"name": "y"})
    assert client.jobs.cancel(other.id).state == "cancelled"
    assert client.jobs.resume(other.id).state == "queued"
    with pytest.raises(WrongRequest, match="max_epoch is not a field"):
        client.jobs.create({"name": "x", "trainer": {"max_epoch": 1}})
    with pytest.raises(ValueError, match="job_id must be"):
        client.jobs.get("")
    with pytest.raises(NotFound):
        list(client.jobs.events("nobody"))
    with pytest.raises(NotFound):
        list(client.jobs.logs("nobody"))


def test_a_key_makes_one_job(client: Client) -> None:
    ids = {client.jobs.create({"name": "x"}, idempotency_key="one").id for _ in range(3)}
    assert len(ids) == 1
    assert len({client.jobs.create({"name": "x"}).id for _ in range(2)}) == 2


def test_who_waits_too_long_is_told(client: Client) -> None:
    job = client.jobs.create({"name": "x"})
    with pytest.raises(DeadlinePassed, match=r"is queued after 0\.5 s"):
        client.jobs.wait(job.id, timeout=0.5)


def test_a_log_is_followed_line_by_line(client: Client, store: JobStore, job_home: Path) -> None:
    client.jobs.create({"name": "x"})
    job = begun(store)
    log = write_run(job_home, job.id, "one\ntw") / "console.txt"

    def go_on() -> None:
        time.sleep(0.4)
        with log.open("a") as file:
            file.write("o\nthr")
        time.sleep(0.4)
        with log.open("a") as file:
            file.write("ee")
        store.finish(job, "failed", "exit code 2", failure="mistake")

    threading.Thread(target=go_on).start()
    assert list(client.jobs.logs(job.id, follow=True)) == ["one", "two", "three"]


def test_without_blocking(url: str, key: str, store: JobStore, job_home: Path) -> None:
    async def main() -> None:
        async with AsyncClient(url, key) as client:
            job = await client.jobs.create(config_without_folders(name="tiny"))
            loop = asyncio.get_running_loop()
            loop.call_later(0.3, lambda: loop.run_in_executor(None, lambda: finished(store, job_home, begun(store))))
            events = [event async for event in client.jobs.events(job.id)]
            assert [event.id for event in events] == list(range(1, len(events) + 1))
            assert (await client.jobs.wait(job.id)).state == "succeeded"
            assert [line async for line in client.jobs.logs(job.id, follow=True)] == ["first", "second", "third"]
            assert await client.jobs.metrics(job.id) == LINES
            assert job.id in [one.id for one in (await client.jobs.list()).jobs]
            assert (await client.jobs.events_page(job.id)).state == "succeeded"
            assert await client.jobs.checkpoints(job.id) == []
            assert await client.jobs.artifacts(job.id)
            with pytest.raises(Conflict):
                await client.jobs.resume(job.id)
            await client.jobs.delete(job.id)
            with pytest.raises(NotFound):
                await client.jobs.get(job.id)
            with pytest.raises(NotFound):
                [event async for event in client.jobs.events(job.id)]

    asyncio.run(main())


def config_without_folders(**fields: Any) -> dict[str, Any]:
    whole = config(**fields)
    return {**whole, "data": {"name": whole["data"]["name"]}}


def test_a_service_that_is_not_there_is_given_up(url: str) -> None:
    with Client("http://127.0.0.1:1", retries=1) as client, pytest.raises(NoAnswer):
        list(client.jobs.events("x"))


def test_a_stream_that_is_cut_anywhere_is_read_the_same() -> None:
    event = '{"id":%d,"time":"2026-01-01T00:00:00Z","kind":"sample","data":{"file":"\u2028\u0085 \u00fc"}}'
    text = "retry: 1000\n\n: ping\n\n" + "".join(f"event: sample\ndata: {event % n}\nid: {n}\n\n" for n in (1, 2, 2, 3))
    content = text.encode() + b'event: end\ndata: {"state":"succeeded"}\n\n'
    for size in (1, 2, 3, 7, 50, 10_000):
        stream = EventStream("x", 0)
        found = [one for start in range(0, len(content), size) for one in stream.read(content[start : start + size])]
        assert ([one.id for one in found], stream.ended, stream.last) == ([1, 2, 3], True, 3)
        assert found[0].data == {"file": "\u2028\u0085 \u00fc"}


def test_lines_end_where_they_end() -> None:
    lines = Lines()
    assert lines.add(b"a\n\nb\xe2") == [b"a", b""]
    assert lines.add(b"\x80\xa8\n") == ["b\u2028".encode()]
    assert lines.rest == b""
