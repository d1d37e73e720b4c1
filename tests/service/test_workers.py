"""Several processes behind one port."""

import os
import signal
import time
from pathlib import Path

import pytest

from service.workers import visible_device
from tests.service.exposition import Samples, value
from tests.service.running import Service, serving


def predicted(samples: Samples) -> tuple[float, ...]:
    return (
        value(samples, "stn_requests_total", route="/v1/predict", method="POST", status="200"),
        value(samples, "stn_request_seconds_count", route="/v1/predict"),
        value(samples, "stn_images_total", model="tiny"),
        value(samples, "stn_stage_seconds_count", stage="encode"),
    )


def wait_for_workers(service: Service, count: int) -> None:
    """Until so many have counted themselves."""
    until = time.monotonic() + 60
    while value(service.scrape(), "stn_workers") != count:
        assert time.monotonic() < until, service.log.read_text()
        time.sleep(0.1)


def wait_for_counts(service: Service, count: int) -> None:
    """Until so many are counted; a process keeps its numbers to itself for half a second."""
    until = time.monotonic() + 20
    while predicted(service.scrape()) != (count,) * 4:
        assert time.monotonic() < until, predicted(service.scrape())
        time.sleep(0.1)


def wait_until_gone(process: int) -> None:
    """Until it holds nothing any more, which is when its parent has noticed."""
    until = time.monotonic() + 30
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
def test_two_processes_share_a_port_count_together_and_replace_each_other(home: Path, tmp_path: Path) -> None:
    with serving(home, "--workers", "2", log=tmp_path / "log") as service:
        service.wait_until_ready()
        assert {service.predict()[0] for _ in range(40)} == {200}
        wait_for_workers(service, 2)
        wait_for_counts(service, 40)
        first, second = service.children()
        os.kill(second, signal.SIGKILL)
        wait_until_gone(second)  # until then a connection may still be handed to it
        assert {service.predict()[0] for _ in range(20)} == {200}
        until = time.monotonic() + 60
        while len(service.children()) < 2 or second in service.children():
            assert time.monotonic() < until, service.log.read_text()
            time.sleep(0.1)
        assert first in service.children()
        wait_for_workers(service, 2)
        assert {service.predict()[0] for _ in range(20)} == {200}
        wait_for_counts(service, 80)
        processes = service.children()
        assert service.end() == 0
        assert not any(Path(f"/proc/{process}").exists() for process in processes)
    assert f"ended with exit code {-signal.SIGKILL}; starting another" in service.log.read_text()
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize(
    ("index", "environment", "files", "shown"),
    [
        (0, {}, 0, {}),
        (0, {}, 2, {"CUDA_VISIBLE_DEVICES": "0"}),
        (3, {}, 2, {"CUDA_VISIBLE_DEVICES": "1"}),
        (1, {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}, 8, {"CUDA_VISIBLE_DEVICES": "GPU-b"}),
        (1, {"CUDA_VISIBLE_DEVICES": ""}, 8, {}),
    ],
)
def test_each_process_sees_a_gpu_of_its_own(index: int, environment: dict, files: int, shown: dict) -> None:
    assert visible_device(index, environment, files) == shown
