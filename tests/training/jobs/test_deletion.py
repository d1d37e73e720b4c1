"""A job is deleted with its run folder, also where the deletion is cut short."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import mostly_sqlite
from tests.training.jobs.rows import config, running
from tests.training.jobs.workers import PROGRAM, wait_for, worker
from training.jobs.deletion import delete_row, sweep
from training.jobs.folders import remove_run
from training.jobs.job import Job, JobNotFound
from training.jobs.states import Forbidden
from training.jobs.store import JobStore

KILLED = """
import os, pathlib, signal, sys
from training.jobs import deletion, folders
from training.jobs.store import JobStore
url, runs, job, where = sys.argv[1:]
store = JobStore(url)
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "before the row":
    store.delete = die
elif where == "before the folder":
    folders.remove_run = die
else:
    folders.shutil.rmtree = die
deletion.delete_row(store, pathlib.Path(runs), job)
folders.remove_run(pathlib.Path(runs), job)
"""


def done(store: JobStore, runs: Path) -> Job:
    store.create(config())
    job = store.finish(running(store), "succeeded", "trained")
    (runs / job.id / "checkpoints").mkdir(parents=True)
    (runs / job.id / "checkpoints" / "last.ckpt").write_text("100")
    return job


def delete_job(store: JobStore, runs: Path, job_id: str) -> None:
    delete_row(store, runs, job_id)
    remove_run(runs, job_id)


def cut_short(url: str, runs: Path, job: Job, where: str) -> None:
    """A process that deletes the job and is killed there."""
    command = [sys.executable, "-c", KILLED, url, str(runs), job.id, where]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env=env, check=False).returncode == -signal.SIGKILL


def test_a_job_goes_with_its_folder(store: JobStore, tmp_path: Path) -> None:
    first, second = done(store, tmp_path), done(store, tmp_path)
    delete_job(store, tmp_path, first.id)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [second.id]
    with pytest.raises(JobNotFound):
        delete_job(store, tmp_path, first.id)


def test_a_job_that_runs_is_left_with_its_folder(store: JobStore, tmp_path: Path) -> None:
    store.create(config())
    job = running(store)
    (tmp_path / job.id).mkdir()
    with pytest.raises(Forbidden):
        delete_job(store, tmp_path, job.id)
    assert list((tmp_path / job.id).iterdir()) == []


@mostly_sqlite
@pytest.mark.parametrize("where", ["before the folder", "within the folder"])
def test_of_a_deletion_that_was_killed_a_worker_removes_what_is_left(
    store: JobStore, database_url: str, tmp_path: Path, where: str
) -> None:
    home = tmp_path / "home"
    job, kept = done(store, home / "runs"), done(store, home / "runs")
    cut_short(database_url, home / "runs", job, where)
    with pytest.raises(JobNotFound):
        store.get(job.id)
    assert len([*(home / "runs").iterdir()]) == 2
    with worker(database_url, home, program=PROGRAM):
        wait_for(lambda: [path.name for path in (home / "runs").iterdir()] == [kept.id])


@mostly_sqlite
def test_a_deletion_that_was_killed_before_the_row_was_deleted_loses_nothing(
    store: JobStore, database_url: str, tmp_path: Path
) -> None:
    job = done(store, tmp_path)
    cut_short(database_url, tmp_path, job, "before the row")
    sweep(store, tmp_path)
    assert store.get(job.id).state == "succeeded"
    assert (tmp_path / job.id / "checkpoints" / "last.ckpt").read_text() == "100"
    delete_job(store, tmp_path, job.id)
    assert not (tmp_path / job.id).exists()
