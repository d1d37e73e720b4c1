"""The training of a job on a machine that shares nothing with its worker but the storage."""

import contextlib
import dataclasses
import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stn.config import to_dict
from tests.training.jobs.workers import PROGRAM, wait_for
from tests.training.runs import small
from training import ray_host
from training.attempts import ask, own, withdraw
from training.hosted import Far, hosted
from training.jobs.job import Job
from training.jobs.sharing import Shared, Sharing
from training.jobs.store import JobStore
from training.storage.orders import newest_order
from training.storage.places import FolderStorage
from training.storage.runs import Publisher, newest_state, own_content, seen_checkpoint


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    (tmp_path / "mounted").mkdir()
    return FolderStorage(tmp_path / "mounted")


class Host:
    """A quick machine, with the stand-in of a training."""

    def __init__(self, storage: FolderStorage, home: Path) -> None:
        self.far, self.told = Far(str(storage.root), str(home), 2**20), threading.Event()

    def train(self, job: Job) -> int:
        """The exit code of the job's first attempt."""
        with hosted(self.far, job.id, 1, self.told) as here:
            return ray_host.train(here)

    @contextlib.contextmanager
    def training(self, job: Job) -> Iterator["Future[int]"]:
        """The same, while the block does something else."""
        with ThreadPoolExecutor() as pool:
            try:
                yield pool.submit(self.train, job)
            except BaseException:
                self.told.set()
                raise


@pytest.fixture
def host(storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    def start(_: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*PROGRAM, *arguments], start_new_session=True, **options)

    monkeypatch.setattr(ray_host, "start_module", start)
    for name in ("hosted.PERIOD", "hosted.LOOK", "ray_host.LOOK", "jobs.sharing.PERIOD"):
        monkeypatch.setattr(f"training.{name}", 0.1)
    return Host(storage, tmp_path / "host")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """At its first attempt; its training takes a minute."""
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    store.create(to_dict(small(max_steps=6000, batch_size=120)))
    made = store.claim("worker", "place", 1)
    store.close()
    assert made is not None
    return made


def shared(storage: FolderStorage, job: Job, home: Path) -> Sharing:
    """As a worker with this home begins to share it."""
    (home / job.id).mkdir(parents=True)
    sharing = Sharing(Shared(storage, None), job, home / job.id)
    wait_for(lambda: sharing.is_brought)
    return sharing


def closed(sharing: Sharing) -> int | None:
    wait_for(lambda: sharing.close(lambda: (True, lambda: 7)))
    return sharing.version()


def step_at(run: Path) -> int:
    path = run / "progress.json"
    return int(json.loads(path.read_text())["step"]) if path.exists() else 0


def test_worker_and_training_hear_of_each_other_by_the_storage_alone(
    storage: FolderStorage, host: Host, job: Job, tmp_path: Path
) -> None:
    """A second worker, of another machine, takes the job over while it trains, and stops it."""
    one, two = tmp_path / "one", tmp_path / "two"
    with host.training(job) as code:
        first = shared(storage, job, one)
        own(one / job.id, 1)
        wait_for(lambda: step_at(one / job.id) > 0)
        second = shared(storage, dataclasses.replace(job, attempt=2), two)
        own(two / job.id, 2, adopted=1)
        wait_for(lambda: newest_order(storage, job.id, 2))
        ask(one / job.id, "pause", 1)  # which nobody hears any more
        ask(two / job.id, "stop", 2)
        assert code.result() == 0
        first.drop()
        assert closed(second) == 7
    result = json.loads((two / job.id / "result.json").read_text())
    assert (result["status"], result["attempt"]) == ("stopped", 2)
    assert seen_checkpoint(two / job.id) and not (two / job.id / "checkpoints").exists()
    assert not [*(tmp_path / "host" / "runs").iterdir()]
    (tmp_path / "next").mkdir()
    own_content(tmp_path / "next", 3)
    Publisher(storage, job.id, tmp_path / "next", 3).publish(sign=True)
    assert [*storage.list("runs/")] == [f"runs/{job.id}/3/state.json"]


def test_what_is_given_up_trains_no_more_and_publishes_nothing(
    storage: FolderStorage, host: Host, job: Job, tmp_path: Path
) -> None:
    run = tmp_path / "one" / job.id

    with host.training(job) as code:
        sharing = shared(storage, job, tmp_path / "one")
        own(run, 1)
        wait_for(lambda: step_at(run) > 0)
        withdraw(run, 1)
        assert code.result() == 4
        closed(sharing)
    before = newest_state(storage, job.id)
    assert before is not None and before.files.keys().isdisjoint(("result.json", "failure.json"))
    assert host.train(job) == 4  # as where a cluster begins it later
    assert newest_state(storage, job.id) == before


def test_what_is_not_there_is_said_and_told_apart(
    storage: FolderStorage, host: Host, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "one" / job.id
    sharing = shared(storage, dataclasses.replace(job, dataset="pets"), tmp_path / "one")
    own(run, 1)
    assert host.train(job) == 2
    closed(sharing)
    assert "error: data.name must be a data set that is there, got 'pets'" in (run / "console.txt").read_text()
    storage.root.rename(tmp_path / "away")
    monkeypatch.setattr("training.hosted.PATIENCE", 0.2)
    assert host.train(job) == 73
