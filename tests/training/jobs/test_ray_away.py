"""A cluster that does not answer: what is decided without it, by the run folder alone."""

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.jobs.rows import claimed
from tests.training.jobs.workers import wait_for
from training.attempts import Attempt, Fenced, own, owner
from training.jobs.devices import Device
from training.jobs.ray import Ray
from training.jobs.ray_api import Api, Refused, Unanswered
from training.jobs.store import JobStore
from training.runs import hold

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = tmp_path / "job"
    made.mkdir()
    (made / "config.json").write_text("{}")
    own(made, 1)
    return made


def test_a_cluster_that_does_not_answer_is_said_before_there_is_a_job(caplog: pytest.LogCaptureFixture) -> None:
    Ray(NOWHERE, slots=1)
    wait_for(lambda: f"Ray at {NOWHERE} does not answer" in caplog.text)


def test_what_no_cluster_has_taken_waits_and_is_given_up_at_once(run: Path) -> None:
    ray = Ray(NOWHERE, slots=3)
    process = ray.submit(run, 1, [Device("")] * 2)
    assert (process, len(ray.free())) == ("job-1", 1)
    silence = f"waits for the cluster: Ray at {NOWHERE} does not answer"
    wait_for(lambda: ray.waits(process) == silence)
    assert ray.poll(process) is None
    ray.stop(process, "interrupt")
    assert (ray.poll(process), len(ray.free()), ray.poll(process)) == ("lost", 3, "gone")
    with pytest.raises(Fenced, match="withdrawn from attempt 1"):
        Attempt(run, 1).check()


def test_what_a_cluster_took_goes_on_for_as_long_as_it_holds_its_run_folder(run: Path, jobs: JobStore) -> None:
    ray = Ray(NOWHERE, slots=1)
    job = dataclasses.replace(claimed(jobs), process="job-1", attempt=2)
    with hold(run):
        process = ray.find(job, run)
        assert process == "job-1" and ray.free() == []
        wait_for(lambda: ray._trouble)
        assert ray.poll(process) is None
        ray.stop(process, "kill")  # which no signal reaches
        found = owner(run)
        assert found is not None and found.withdrawn and ray.poll(process) is None
    assert ray.poll(process) == "lost"


@pytest.mark.parametrize(
    ("process", "attempt", "found"),
    [
        ("job-1", 4, "job-1"),  # as often as it was taken over
        (None, 2, "job-1"),  # its worker was gone before it had written it down
        (None, 3, None),
        ("4711.12345", 2, None),  # of a worker that trained on its own machine
    ],
)
def test_a_process_is_found_again_by_its_attempt(
    run: Path, jobs: JobStore, process: str | None, attempt: int, found: str | None
) -> None:
    job = dataclasses.replace(claimed(jobs), process=process, attempt=attempt)
    assert Ray(NOWHERE, slots=1).find(job, run) == found


@contextlib.contextmanager
def answering(answer: str) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that gives this answer to the first who asks, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_one() -> None:
            with contextlib.suppress(OSError):  # nobody came
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer.encode())

        thread = threading.Thread(target=answer_one)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_token_goes_to_the_clusters_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering("") as (elsewhere, caught):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, elsewhere)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef")
        referral = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        with answering(referral) as (address, asked), pytest.raises(Refused, match="answers 302: Found"):
            Api(address).get("job-1")
    assert b"Authorization: Bearer 0123456789abcdef" in asked[0] and caught == []


@pytest.mark.parametrize(("status", "error"), [("200 OK", Unanswered), ("500 Internal Server Error", Refused)])
def test_an_answer_that_breaks_off_is_none(status: str, error: type[Exception]) -> None:
    """The head is killed in the middle of it; what asks must live on."""
    with (
        answering(f"HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\n{{") as (address, _),
        pytest.raises(error, match="Ray at http://127.0.0.1"),
    ):
        Api(address).get("job-1")
