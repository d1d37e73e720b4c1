"""A job over HTTP with the worker and the training that really run it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.client import Client
from tests.service.running import serving

SMALL = {
    "preset": "digits",
    "name": "mine",
    "distortion": {"size": [24, 24]},
    "model": {"size": [12, 12], "filters": [4], "units": 8, "localization_filters": 4},
    "trainer": {"max_steps": 30, "validate_every": 10, "checkpoint_every": 5, "accelerator": "cpu"},
}


@contextmanager
def working(home: Path, log: Path) -> Iterator[None]:
    """`stn worker`, until the end of the block."""
    command = [sys.executable, "-m", "service.commands.cli", "worker"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, "STN_HOME": str(home)}, stderr=output)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.mark.slow
def test_a_posted_config_becomes_a_model_that_answers(home: Path, tmp_path: Path) -> None:
    with (
        serving(home, log=tmp_path / "log") as service,
        working(home, tmp_path / "worker"),
        Client(service.url) as client,
    ):
        service.wait_until_ready()
        job = client.jobs.create(SMALL)
        events = list(client.jobs.events(job.id))
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        states = list(dict.fromkeys(event.data["state"] for event in events if event.kind == "state"))
        assert states == ["queued", "starting", "running", "succeeded"], (tmp_path / "worker").read_text()
        assert [event.data["step"] for event in events if event.kind == "metrics"] == [10, 20, 30]
        job = client.jobs.get(job.id)
        assert job.model is not None
        assert (job.model.name, job.model.version, job.step, job.steps) == ("mine", 1, 30, 30)
        _answers(client)
        assert [line["step"] for line in client.jobs.metrics(job.id)] == [10, 20, 30]
        assert {entry.name: entry.step for entry in client.jobs.checkpoints(job.id)}.keys() == {
            "best.ckpt",
            "last.ckpt",
        }
        assert all(entry.step for entry in client.jobs.checkpoints(job.id))
        paths = {file.path for file in client.jobs.artifacts(job.id)}
        assert {
            "report/index.html",
            "model.safetensors",
            "config.json",
            "metrics.jsonl",
            "samples/step-000010.png",
        } <= paths
        told = [event.data for event in events if event.kind == "sample"]
        assert [data["step"] for data in told] == [10, 20, 30]
        probe = client.jobs.probe(job.id)
        assert [frame.step for frame in probe.frames] == [10, 20, 30]
        assert {len(frame.items) for frame in probe.frames} == {len(probe.pictures)} == {8}
        samples = {f"samples/{data['file']}" for data in told if data["file"]}
        assert samples
        assert samples <= paths
        assert any("step 30/30" in line for line in client.jobs.logs(job.id))


@pytest.mark.slow
def test_a_job_is_stopped_resumed_and_cancelled_over_http(home: Path, tmp_path: Path) -> None:
    with (
        serving(home, log=tmp_path / "log") as service,
        working(home, tmp_path / "worker"),
        Client(service.url) as client,
    ):
        service.wait_until_ready()
        trainer = {**SMALL["trainer"], "max_steps": 1_000_000}  # type: ignore[dict-item]
        job = client.jobs.create({**SMALL, "trainer": trainer})
        last = 0
        for event in client.jobs.events(job.id):
            last = event.id
            if event.kind == "metrics":
                break
        client.jobs.stop(job.id)
        stopped = client.jobs.wait(job.id, timeout=60.0)
        assert (stopped.state, stopped.stopped, stopped.model is not None) == ("succeeded", True, True)
        client.jobs.resume(job.id)
        for event in client.jobs.events(job.id, after=last):
            if event.kind == "metrics" and event.data["step"] > stopped.step:
                break
        client.jobs.cancel(job.id)
        assert client.jobs.wait(job.id, timeout=60.0).state == "cancelled"
        client.jobs.delete(job.id)
        assert not (home / "runs" / job.id).exists()
        _answers(client)


def _answers(client: Client) -> None:
    """Once the service has seen the new file."""
    end = time.monotonic() + 20
    while "mine" not in [model.name for model in client.models().models]:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert client.predict("docs/digit.png", model="mine").class_name in "0123456789"
