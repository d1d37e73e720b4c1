"""Jobs in a real Ray cluster of one machine: what they learn is what a training beside the worker learns, to the bit."""

import dataclasses
import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.jobs.ray_cluster import Head, ray_head
from tests.training.jobs.workers import Running, ended, submit, trainings, wait_for, worker
from tests.training.runs import numbers, restless, same_weights, step_of, trained_apart
from training.jobs.job import Job
from training.jobs.ray_api import Api, Refused
from training.jobs.store import JobStore

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'stn[cluster]'")

EPOCHS = 6


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head() as made:
        yield made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_apart(tmp_path_factory.mktemp("whole"), restless(EPOCHS))


def in_cluster(head: Head, **options: Any) -> dict[str, Any]:
    return {"ray": {"address": head.address, "slots": 4, "grace": 20.0}, **options}


def run_of(running: Running, job: Job) -> Path:
    return running.home / "runs" / job.id


def why(jobs: JobStore, job: Job) -> str | None:
    return jobs.waiting([jobs.get(job.id)]).get(job.id)


@pytest.mark.exhaustive
def test_jobs_of_a_cluster_end_as_those_of_a_machine(
    head: Head, whole: Path, jobs: JobStore, url: str, tmp_path: Path
) -> None:
    """The first is killed and tried again; the second waits for room and is cancelled; the third is stopped."""
    with worker(url, tmp_path / "home", version=1, **in_cluster(head)) as running:
        first, second = submit(jobs, restless(EPOCHS)), submit(jobs, restless(EPOCHS))
        wait_for(lambda: step_of(run_of(running, first) / "checkpoints" / "last.ckpt") >= 3)
        wait_for(lambda: why(jobs, second) == "waits for the cluster: all that it needs is taken, or no machine has it")
        (pid,) = trainings(running.home)
        os.kill(pid, signal.SIGKILL)
        jobs.cancel(second.id)
        assert ended(jobs, second).state == "cancelled"
        done = ended(jobs, first)
        assert (done.state, done.attempt, done.model_version) == ("succeeded", 2, 1), done
        assert same_weights(whole, run_of(running, first)) and numbers(whole) == numbers(run_of(running, first))
        assert "SIGKILL" in str([event.data for event in jobs.events(first.id) if event.kind == "state"])
        third = submit(jobs, restless(100_000))
        wait_for(lambda: step_of(run_of(running, third) / "checkpoints" / "last.ckpt") >= 3)
        jobs.stop(third.id)
        done = ended(jobs, third)
        assert (done.state, done.stopped, done.attempt, done.model_version) == ("succeeded", True, 1, 1), done
        # Ray began it all the same, when there was room; it found that it was not wanted.
        assert not (run_of(running, second) / "log.txt").exists()
        assert [job.id for job in jobs.list() if job.state == "starting"] == []


@pytest.mark.exhaustive
def test_what_the_cluster_has_too_little_of_is_said_and_holds_up_nobody(
    head: Head, jobs: JobStore, url: str, tmp_path: Path
) -> None:
    with worker(url, tmp_path / "home", **in_cluster(head)):
        large = submit(jobs, accelerator="gpu", devices=4), submit(jobs, nodes=2)
        wait_for(lambda: why(jobs, large[0]) == "waits for the cluster: it needs GPUs: 4, and the cluster has 0")
        wait_for(
            lambda: why(jobs, large[1]) == "waits for the cluster: it needs processors: 2.01, and the cluster has 1"
        )
        assert ended(jobs, submit(jobs, restless(1))).state == "succeeded"
        for job in large:
            jobs.cancel(job.id)
        assert [ended(jobs, job).state for job in large] == ["cancelled"] * 2


@pytest.mark.exhaustive
def test_a_job_takes_several_machines_where_it_asks_for_them(jobs: JobStore, url: str, tmp_path: Path) -> None:
    with ray_head(3) as larger, worker(url, tmp_path / "home", version=1, **in_cluster(larger)) as running:
        job = submit(jobs, restless(2), nodes=2)
        wait_for(lambda: why(jobs, job) == "waits for the cluster: 2 processes are started once there is room for all")
        done = ended(jobs, job)
        assert (done.state, done.attempt, done.devices, done.model_version) == ("succeeded", 1, 2, 1), done
        apart = dataclasses.replace(restless(2), trainer=dataclasses.replace(restless(2).trainer, devices=2))
        assert same_weights(trained_apart(tmp_path / "apart", apart), run_of(running, job))  # of two processes here


@pytest.mark.exhaustive
def test_a_job_outlives_its_worker_and_all_that_its_cluster_knew(
    head: Head, whole: Path, jobs: JobStore, url: str, tmp_path: Path
) -> None:
    with worker(url, tmp_path / "home", **in_cluster(head)) as first:
        job = submit(jobs, restless(EPOCHS))
        run = run_of(first, job)
        wait_for(lambda: step_of(run / "checkpoints" / "last.ckpt") >= 3)
        api, began = Api(head.address), jobs.get(job.id).process
        assert began == f"{job.id}-1"
        with pytest.raises(Refused, match="answers 500"):
            api.submit(began, "exit 1", environment={}, cpus=1.0, gpus=0)
        first.kill()
        with worker(url, tmp_path / "home", lease=3600.0, **in_cluster(head)):
            wait_for(lambda: jobs.get(job.id).attempt == 2)
            assert (jobs.get(job.id).process, len(trainings(tmp_path / "home"))) == (began, 1)
            head.kill()
            wait_for(lambda: "does not answer" in (why(jobs, job) or ""))
            head.start()
            done = ended(jobs, job)
    assert (done.state, done.attempt, done.crashes) == ("succeeded", 3, 0), done
    assert "the cluster lost it" in str([event.data for event in jobs.events(job.id) if event.kind == "state"])
    assert same_weights(whole, run) and numbers(whole) == numbers(run)
    steps = [event.data["step"] for event in jobs.events(job.id, limit=100_000) if event.kind == "metrics"]
    assert steps == sorted({*steps})
    assert api.get(began) is None
