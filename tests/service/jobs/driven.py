"""Jobs that get on without a worker: the store and the run folder are driven as one would."""

import json
from pathlib import Path
from typing import Any

import pytest

from stn.config import to_dict
from tests.service.conftest import write_model
from training.jobs.job import Job
from training.jobs.store import JobStore
from training.presets import PRESETS

LINES = [
    {"time": 1.0, "epoch": 1.0, "step": 10, "val/loss": 0.5, "val/accuracy": 0.75, "train/loss": 0.625},
    {"time": 2.0, "epoch": 2.0, "step": 20, "val/loss": 0.25, "val/accuracy": 0.875, "learning_rate": 0.001},
]
REPORT = "<!doctype html>\n<title>report</title><style>h1 { color: red }</style><h1>scores</h1>\n"


def store_at(home: Path) -> JobStore:
    return JobStore(f"sqlite:///{home / 'jobs.sqlite'}")


def config(**fields: Any) -> dict[str, Any]:
    return {**to_dict(PRESETS["digits"]()), **fields}


def begun(store: JobStore, worker: str = "test") -> Job:
    """The oldest job that waits, now running."""
    job = store.claim(worker, "here", 8)
    assert job is not None
    return store.record(store.begun(job, "1.1", []), [], state="running")


def write_run(home: Path, job_id: str, log: str = "first\nsecond\nthird\n") -> Path:
    """A run folder as a finished training leaves it, but for checkpoints."""
    run = home / "runs" / job_id
    (run / "report").mkdir(parents=True)
    (run / "samples").mkdir()
    (run / "console.txt").write_text(log)
    (run / "config.json").write_text(json.dumps(config()))
    (run / "result.json").write_text(json.dumps({"status": "succeeded"}))
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    (run / "report" / "index.html").write_text(REPORT)
    (run / "samples" / "step-000010.png").write_bytes(b"\x89PNG")
    write_model(run / "model.safetensors")
    return run


def finished(store: JobStore, home: Path, job: Job) -> Job:
    """The job that runs, at its end."""
    events = [("metrics", line) for line in LINES]
    job = store.record(job, events, step=20, steps=20, eta_seconds=0.0)
    write_run(home, job.id)
    scores = {"accuracy": 0.875, "loss": 0.25}
    return store.finish(job, "succeeded", "the training is done", scores=scores, model_version=1)


def example_job(home: Path, job_id: str) -> Job:
    """A finished job of this id, which the document's examples name."""
    store = store_at(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.jobs.creation.new_id", lambda *_: job_id)
        store.create(config(name="handwriting"))
    try:
        return finished(store, home, begun(store))
    finally:
        store.close()
