"""Real trainings that are killed, moved from worker to worker, or run out of disk: what they learn is what an undisturbed
run learns, to the bit."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.databases import PostgreSQL
from tests.training.jobs.workers import Running, ended, pid_of, states, submit, trainings, wait_for, worker
from tests.training.runs import numbers, restless, same_weights, small, step_of, trained_apart
from training.jobs.job import Job
from training.jobs.store import JobStore

EPOCHS = 12
"""Of ten steps each: long enough for whatever happens in between."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_apart(tmp_path_factory.mktemp("whole"), restless(EPOCHS))


def run_of(running: Running, job: Job) -> Path:
    return running.home / "runs" / job.id


def at_step(run: Path, step: int) -> Callable[[], bool]:
    return lambda: step_of(run / "checkpoints" / "last.ckpt") >= step


def same_as(whole: Path, run: Path) -> bool:
    return same_weights(whole, run) and numbers(whole) == numbers(run)


@pytest.mark.parametrize(
    "kills", [pytest.param(3, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.exhaustive)]
)
def test_a_training_that_is_killed_at_random_moments_learns_what_another_does(
    whole: Path, jobs: JobStore, url: str, tmp_path: Path, kills: int
) -> None:
    chance = random.Random(kills)
    with worker(url, tmp_path / "home", retries=20) as running:
        job = submit(jobs, restless(EPOCHS))
        run = run_of(running, job)
        for kill in range(kills):
            wait_for(lambda kill=kill: (now := jobs.get(job.id)).attempt == kill + 1 and now.process)
            before = step_of(run / "checkpoints" / "last.ckpt")
            if (
                kill % 2
            ):  # every other one somewhere in the steps, the others anywhere in the process, mostly before them
                wait_for(at_step(run, before + chance.randrange(10 * EPOCHS // kills)))
            else:
                moment, soon = time.monotonic() + chance.random() * 8, at_step(run, before + 2)
                wait_for(lambda moment=moment, soon=soon: time.monotonic() > moment or soon())
            os.kill(pid_of(jobs, job), signal.SIGKILL)
        done = ended(jobs, job)
        assert (done.state, done.attempt) == ("succeeded", kills + 1)
        assert same_as(whole, run)
    assert states(jobs, job).count("interrupted") == kills
    steps = [event.data["step"] for event in jobs.events(job.id, limit=10_000) if event.kind == "metrics"]
    assert steps == list(range(4, 10 * EPOCHS + 1, 4))  # each once, whatever was repeated


@pytest.mark.slow
def test_a_training_goes_from_worker_to_worker(whole: Path, jobs: JobStore, url: str, tmp_path: Path) -> None:
    """The first is killed, the second stands still, the third is ended in good order, the fourth finishes."""
    home, lease = tmp_path / "home", 5.0
    with contextlib.ExitStack() as workers:
        first = workers.enter_context(worker(url, home, lease=lease))
        job = submit(jobs, restless(EPOCHS))
        run = run_of(first, job)
        wait_for(at_step(run, 30))
        pid = pid_of(jobs, job)
        os.kill(pid, signal.SIGSTOP)  # it would be done before all of this is
        first.kill()
        second = workers.enter_context(worker(url, home, lease=lease))
        wait_for(lambda: jobs.get(job.id).attempt == 2)
        assert (pid_of(jobs, job), trainings(home)) == (pid, [pid])
        third = workers.enter_context(worker(url, home, lease=lease))
        wait_for(lambda: third.log.read_text().count("runs the jobs") == 3)
        second.stop()
        wait_for(lambda: jobs.get(job.id).attempt == 3)
        second.signal(signal.SIGCONT)
        wait_for(lambda: "no longer this worker's" in third.log.read_text())
        second.kill()
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: json.loads((run / "progress.json").read_text())["attempt"] == 3)
        assert third.end() == 0
        assert not trainings(home)
        now = jobs.get(job.id)
        assert (now.state, now.reason, now.crashes) == ("queued", "the worker was stopped", 0)
        paused = step_of(run / "checkpoints" / "last.ckpt")
        assert 30 <= paused < 10 * EPOCHS
        workers.enter_context(worker(url, home, lease=lease))
        done = ended(jobs, job)
        assert (done.state, done.attempt) == ("succeeded", 4)
        assert same_as(whole, run)
        assert json.loads((run / "result.json").read_text())["attempt"] == 4
    assert len((run / "log.txt").read_text().split(": seed 0")) == 3  # two processes in all


@pytest.mark.slow
def test_a_stop_keeps_the_best_weights_and_can_be_taken_back(
    whole: Path, jobs: JobStore, url: str, tmp_path: Path
) -> None:
    with worker(url, tmp_path / "home", version=1) as running:
        job = submit(jobs, restless(EPOCHS))
        wait_for(at_step(run_of(running, job), 30))
        jobs.stop(job.id)
        done = ended(jobs, job)
        assert (done.state, done.stopped, done.model_version, done.failure) == ("succeeded", True, 1, None)
        assert done.scores is not None and "test/accuracy" in done.scores
        jobs.resume(job.id)
        done = ended(jobs, job)
        assert (done.state, done.stopped) == ("succeeded", False)
        assert same_as(whole, run_of(running, job))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root that may mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_fails_the_job_with_the_reason_and_keeps_the_last_checkpoint(
    jobs: JobStore, url: str, tmp_path: Path, small_disk: Path
) -> None:
    """The database lies elsewhere; what fills up holds the run folders."""
    config = small(10_000, checkpoint_every=5, validate_every=20)
    with worker(url, small_disk / "home") as running:
        job = submit(jobs, config)
        run = run_of(running, job)
        wait_for(at_step(run, 10))
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"0" * 4096)
                file.flush()
        done = ended(jobs, job)
        assert (done.state, done.failure, done.attempt) == ("failed", "resources", 1)
        assert done.reason.startswith("[Errno 28] No space left on device: '")
        kept = step_of(run / "checkpoints" / "last.ckpt")
        assert kept >= 10
        filler.unlink()
        jobs.resume(job.id)
        wait_for(at_step(run, kept + 20))
        jobs.cancel(job.id)
        assert ended(jobs, job).state == "cancelled"


@pytest.mark.slow
def test_a_mistake_fails_the_job_with_its_reason_at_the_first_attempt(jobs: JobStore, url: str, tmp_path: Path) -> None:
    values = json.loads(json.dumps(submit(jobs).config))
    values["data"] = {"name": "folder", "root": str(tmp_path / "none")}
    with worker(url, tmp_path / "home") as running:
        job = jobs.create(values)[0]
        jobs.cancel(jobs.list()[-1].id)
        done = ended(jobs, job)
        assert (done.state, done.failure, done.attempt) == ("failed", "mistake", 1)
        assert str(tmp_path / "none") in done.reason
        console = (run_of(running, job) / "console.txt").read_text()
        assert console == f"error: {done.reason}\n"


@pytest.mark.exhaustive
def test_a_training_goes_on_while_the_database_is_gone_for_half_a_minute(
    whole: Path, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = postgresql.database()
    with contextlib.closing(JobStore(url)) as store, worker(url, tmp_path / "home", lease=5.0) as running:
        job = submit(store, restless(EPOCHS))
        run = run_of(running, job)
        wait_for(at_step(run, 10))
        postgresql.stop()
        try:
            wait_for((run / "result.json").exists)
            time.sleep(30)
        finally:
            postgresql.start()
        done = ended(store, job)
        assert (done.state, done.attempt) == ("succeeded", 1)
        assert same_as(whole, run)
