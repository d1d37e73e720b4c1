"""Jobs in a real Ray cluster whose machines share no folder with the workers, but a real object store."""

import contextlib
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.datasets.store import open_datasets
from service.settings import Settings
from stn.config import to_dict
from tests.objects import Store, needs_store, object_store
from tests.service.jobs.test_shared_jobs import machine, published_step
from tests.service.models.test_store import serve
from tests.training.jobs.ray_cluster import Head, ray_head
from tests.training.jobs.workers import ended, submit, trainings, wait_for
from tests.training.runs import numbers, restless, same_weights, small, trained_apart
from training.jobs.store import JobStore

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'stn[cluster]'"),
    pytest.mark.exhaustive,
    needs_store,
]

EPOCHS = 8


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.fixture
def jobs(url: str) -> Iterator[JobStore]:
    with contextlib.closing(JobStore(url)) as made:
        yield made


@pytest.fixture
def store() -> Iterator[Store]:
    with object_store() as made:
        yield made


@pytest.fixture
def head(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Head]:
    """Whose jobs find the store as its environment says."""
    with ray_head() as made:
        monkeypatch.setenv("STN_EXECUTOR", "ray")
        monkeypatch.setenv("STN_RAY_ADDRESS", made.address)
        yield made


def test_a_run_goes_on_whoever_is_lost(
    store: Store, head: Head, jobs: JobStore, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is killed, then the machine of its worker with all that lies there, then the storage is gone."""
    here, first, second = tmp_path / "host", tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("STN_RAY_HOME", str(here))
    whole = trained_apart(tmp_path / "whole", restless(EPOCHS))
    job = submit(jobs, restless(EPOCHS))
    with machine(first, store, url):
        wait_for(lambda: published_step(store, job.id, tmp_path) >= 3)
        (pid,) = trainings(here)
        assert b"AWS_" not in Path(f"/proc/{pid}/environ").read_bytes()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: jobs.get(job.id).attempt == 2)
        wait_for(lambda: jobs.get(job.id).process and trainings(here))
    shutil.rmtree(first)
    with machine(second, store, url):
        wait_for(lambda: jobs.get(job.id).attempt == 3)
        assert (jobs.get(job.id).process, len(trainings(here))) == (f"{job.id}-2", 1)
        wait_for(lambda: jobs.get(job.id).state == "running")
        store.door.shut()
        wait_for(lambda: not trainings(here))  # it has trained to its end
        time.sleep(5)
        assert jobs.get(job.id).state == "running"
        store.door.open()
        done = ended(jobs, job)
    assert (done.state, done.attempt, done.model_version) == ("succeeded", 3, 1), done
    run = second / "runs" / job.id
    assert same_weights(whole, run) and numbers(whole) == numbers(run)
    events = jobs.events(job.id, limit=100_000)
    assert [event.data["step"] for event in events if event.kind == "metrics"] == [*range(4, 10 * EPOCHS + 1, 4)]
    assert "SIGKILL" in str([event.data for event in events if event.kind == "state"])
    assert not [*(here / "runs").iterdir()]
    with serve(tmp_path / "web", storage=store.url, database=url) as client:
        assert client.get(f"/v1/jobs/{job.id}/artifacts/result.json").json()["status"] == "succeeded"
        assert "error" not in client.get(f"/v1/jobs/{job.id}/logs?tail=1").text


def test_what_is_asked_reaches_the_training_and_what_it_reads_its_machine(
    store: Store, head: Head, jobs: JobStore, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first trains on a data set and is stopped; the second is cancelled while it waits, the third while it trains; the
    data set of the fourth is gone."""
    here = tmp_path / "host"
    monkeypatch.setenv("STN_RAY_HOME", str(here))
    sets = open_datasets(Settings(home=tmp_path / "web", storage=store.url))
    upload(tmp_path / "web" / "fetched" / "uploads" / "set")
    sets.put(tmp_path / "web" / "fetched" / "uploads" / "set", "pets")
    first = jobs.create(to_dict(small(100_000)), dataset="pets")[0]
    with machine(tmp_path / "home", store, url):
        second = submit(jobs, restless(100_000))
        wait_for(lambda: jobs.get(second.id).reason.startswith("waits for the cluster"))
        jobs.cancel(second.id)
        assert ended(jobs, second).state == "cancelled"
        wait_for(lambda: jobs.get(first.id).step > 3)
        assert [*(here / "fetched" / "datasets").glob("pets-*/data.npz")]
        jobs.stop(first.id)
        done = ended(jobs, first)
        assert (done.state, done.stopped, done.attempt, done.model_version) == ("succeeded", True, 1, 1), done
        third = submit(jobs, restless(100_000))
        wait_for(lambda: jobs.get(third.id).step > 3)
        jobs.cancel(third.id)
        assert ended(jobs, third).state == "cancelled"
        fourth = jobs.create(to_dict(small()), dataset="cats")[0]
        done = ended(jobs, fourth)
        assert (done.state, done.failure, done.attempt) == ("failed", "mistake", 1), done
        assert "got 'cats', which has been deleted" in done.reason
        wait_for(lambda: not [*(here / "runs").iterdir()])


def upload(folder: Path) -> None:
    """What a checked upload of an npz file has become."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (400, 16, 16), np.uint8), np.arange(400) % 4
    np.savez(folder / "data.npz", images=images, labels=labels)
    (folder / "sheet.png").write_bytes(b"sheet")
    (folder / "dataset.json").write_text('{"name": "pets"}')
