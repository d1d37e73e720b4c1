"""Trainings that do not get on, and jobs that cannot be started: none is waited for without end."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.training.jobs.workers import (
    PROGRAM,
    ended,
    pid_of,
    starts,
    submit,
    submit_quick,
    trainings,
    wait_for,
    worker,
)
from tests.training.runs import restless, step_of
from training.attempts import own
from training.jobs.job import Job
from training.jobs.store import JobStore


def interruptions(jobs: JobStore, job: Job) -> list[str]:
    """Why it was interrupted."""
    events = jobs.events(job.id, limit=10_000)
    return [event.data["reason"] for event in events if event.data.get("state") == "interrupted"]


def test_what_stands_still_is_killed_and_tried_again(jobs: JobStore, url: str, tmp_path: Path) -> None:
    """One that waits after a while, one that works all the time after six times as long."""
    with worker(url, tmp_path / "home", program=PROGRAM, grace=1.0, stall=2.0, slots=3) as running:
        waits, works, healthy = submit_quick(jobs, seed=9), submit_quick(jobs, seed=10), submit_quick(jobs, 1000)
        for job, reason in ((waits, "stood still for"), (works, "did no batch for")):
            done = ended(jobs, job)
            assert (done.state, done.attempt, done.crashes) == ("succeeded", 2, 1)
            (told,) = interruptions(jobs, job)
            assert re.fullmatch(rf"the training process {reason} \d+ s and was ended", told)
        assert (ended(jobs, healthy).attempt, len(starts(running, waits))) == (1, 2)


@pytest.mark.slow
def test_a_stop_that_a_training_does_not_hear_keeps_the_best_weights_all_the_same(
    jobs: JobStore, url: str, tmp_path: Path
) -> None:
    """It stands still, so that neither the flag nor SIGTERM reaches it; the next attempt keeps what it had learnt."""
    with worker(url, tmp_path / "home", grace=2.0, stall=5.0, version=1) as running:
        job = submit(jobs, restless(100_000))
        run = running.home / "runs" / job.id
        wait_for(lambda: step_of(run / "checkpoints" / "last.ckpt") >= 20)
        pid = pid_of(jobs, job)
        os.kill(pid, signal.SIGSTOP)
        jobs.stop(job.id)
        wait_for(lambda: jobs.get(job.id).state == "stopping")
        done = ended(jobs, job)
        assert (done.state, done.stopped, done.model_version, done.attempt, done.failure) == (
            "succeeded",
            True,
            1,
            2,
            None,
        )
        assert done.step >= 20 and done.scores is not None and "test/accuracy" in done.scores
        assert f"registered {run}" in running.log.read_text() and (run / "model.safetensors").exists()
        assert not trainings(running.home)
    (told,) = interruptions(jobs, job)
    assert re.fullmatch(r"the training process stood still for \d+ s and was ended", told)


def test_a_stop_of_what_hangs_before_its_first_checkpoint_says_that_nothing_is_kept(
    jobs: JobStore, url: str, tmp_path: Path
) -> None:
    with worker(url, tmp_path / "home", program=PROGRAM, grace=1.0, stall=2.0) as running:
        job = submit_quick(jobs, seed=9)
        wait_for(lambda: jobs.get(job.id).state == "running")
        jobs.stop(job.id)
        done = ended(jobs, job)
        assert (done.state, done.failure, done.attempt, done.model_version) == ("failed", "crash", 1, None)
        assert done.reason.endswith("; asked to stop, and there is no checkpoint from which to keep weights")
        assert not trainings(running.home)
        jobs.resume(job.id)
        assert ended(jobs, job).state == "succeeded"


def test_a_run_folder_of_a_later_attempt_fails_the_job_after_the_retries(
    jobs: JobStore, url: str, tmp_path: Path
) -> None:
    """As where the database is an older one that was put back."""
    home = tmp_path / "home"
    job = submit_quick(jobs)
    (home / "runs" / job.id).mkdir(parents=True)
    own(home / "runs" / job.id, 99)
    with worker(url, home, program=PROGRAM, retries=2) as running:
        done = ended(jobs, job)
        assert (done.state, done.failure, done.attempt) == ("failed", "crash", 3)
        assert done.reason.startswith("attempt 99 has the run folder ")
        assert done.reason.endswith(" (crash 3 without a new checkpoint in between)")
        assert starts(running, job) == []
