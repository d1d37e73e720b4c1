"""Several processes share their numbers in one folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.observing.exposition import FOLDER, shared_folder
from tests.service.exposition import read, value

ROOT = Path(__file__).parents[3]

COUNT = """
import sys, time
from service.observing import metrics
for _ in range(int(sys.argv[1])):
    metrics.request("/v1/predict", "POST", 200, 0.003)
    metrics.stages("infer", [0.001, 0.2])
    metrics.batch("tiny", 2)
metrics.publish(waiting=5, models=3)
print("published", flush=True)
sys.stdin.read()
"""
SCRAPE = "from service.observing.exposition import expose; import sys; sys.stdout.buffer.write(expose(sys.argv[1])[0])"


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
