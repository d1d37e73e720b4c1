"""Several processes share their numbers in one folder."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from service.exposition import FOLDER, shared_folder
from tests.service.conftest import encode, picture
from tests.service.exposition import Samples, read, value

ROOT = Path(__file__).parents[2]

COUNT = """
import sys, time
from service import metrics
for _ in range(int(sys.argv[1])):
    metrics.request("/v1/predict", "POST", 200, 0.003)
    metrics.stages("infer", [0.001, 0.2])
    metrics.batch("tiny", 2)
metrics.publish(waiting=5, models=3)
print("published", flush=True)
sys.stdin.read()
"""
SCRAPE = "from service.exposition import expose; import sys; sys.stdout.buffer.write(expose(sys.argv[1])[0])"


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "published\n"
    return process


def end(process: subprocess.Popen[str], number: signal.Signals | None = None) -> None:
    if number:
        process.send_signal(number)
    process.communicate()


def scrape(accept: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-c", SCRAPE, accept], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout


def test_counts_add_up_over_processes_and_outlive_them_and_what_was_held_goes_with_its_process() -> None:
    with shared_folder() as folder:
        first, second = start(COUNT, "10"), start(COUNT, "7")
        samples = read(scrape())
        assert value(samples, "stn_requests_total", route="/v1/predict", method="POST", status="200") == 17
        assert value(samples, "stn_stage_seconds_count", stage="infer") == 34
        assert value(samples, "stn_stage_seconds_bucket", stage="infer", le="0.001") == 17
        assert value(samples, "stn_stage_seconds_bucket", stage="infer", le="+Inf") == 34
        assert value(samples, "stn_stage_seconds_sum", stage="infer") == pytest.approx(17 * 0.201)
        assert value(samples, "stn_images_total", model="tiny") == 34
        assert value(samples, "stn_workers") == 2
        assert value(samples, "stn_queue_images") == 10
        assert value(samples, "stn_models_loaded") == 3
        assert value(samples, "process_resident_memory_bytes") > 2e7
        assert "openmetrics" not in scrape()
        assert scrape("application/openmetrics-text").endswith("# EOF\n")

        end(first, signal.SIGKILL)
        third = start(COUNT, "1")  # in its place
        samples = read(scrape())
        assert value(samples, "stn_requests_total", route="/v1/predict", method="POST", status="200") == 18
        assert value(samples, "stn_workers") == 2
        assert value(samples, "stn_queue_images") == 10
        end(second)
        end(third)
        samples = read(scrape())
        assert value(samples, "stn_requests_total", route="/v1/predict", method="POST", status="200") == 18
        assert value(samples, "stn_workers") == 0
        assert list(folder.iterdir())
    assert not folder.exists()


def test_the_folder_is_new_each_time_and_named_only_inside() -> None:
    before = os.environ.get(FOLDER)
    with shared_folder() as first:
        assert os.environ[FOLDER] == str(first)
        assert list(first.iterdir()) == []
        with shared_folder() as second:
            assert second != first
        assert os.environ[FOLDER] == str(first)
    assert os.environ.get(FOLDER) == before


class Service(NamedTuple):
    url: str
    process: subprocess.Popen[bytes]
    """The parent of the workers."""

    def scrape(self) -> Samples:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return read(answer.read().decode())

    def post(self, count: int) -> None:
        body = encode(picture())
        for _ in range(count):
            request = urllib.request.Request(f"{self.url}/v1/predict", body, {"Content-Type": "image/png"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200

    def newest_worker(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return max(map(int, children.split()))

    def wait_for_workers(self, count: int, but: int = 0) -> None:
        """Until there are so many, this process not among them."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with suppress(OSError):
                if value(self.scrape(), "stn_workers") == count and self.newest_worker() != but:
                    return
            time.sleep(0.1)
        raise AssertionError(f"there are not {count} workers after 90 seconds")


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "STN_HOME": str(home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "tests.service.workers", str(port)], cwd=ROOT, env=environment)
    try:
        yield Service(f"http://127.0.0.1:{port}", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def predicted(samples: Samples) -> tuple[float, ...]:
    return (
        value(samples, "stn_requests_total", route="/v1/predict", method="POST", status="200"),
        value(samples, "stn_request_seconds_count", route="/v1/predict"),
        value(samples, "stn_images_total", model="tiny"),
        value(samples, "stn_stage_seconds_count", stage="encode"),
    )


@pytest.mark.slow
def test_two_workers_count_every_request_also_when_one_is_killed_and_replaced(service: Service) -> None:
    service.wait_for_workers(2)
    service.post(40)
    time.sleep(0.7)  # longer than a worker keeps its numbers to itself
    assert predicted(service.scrape()) == (40, 40, 40, 40)
    killed = service.newest_worker()
    os.kill(killed, signal.SIGKILL)
    service.wait_for_workers(2, but=killed)
    assert predicted(service.scrape()) == (40, 40, 40, 40)
    service.post(10)
    time.sleep(0.7)
    assert predicted(service.scrape()) == (50, 50, 50, 50)
