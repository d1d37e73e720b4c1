"""A real training that outlives the service it was asked for, and goes on after everything was ended and started again."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from service.client import Client
from tests.service.jobs.driven import store_at
from tests.service.jobs.test_with_worker import SMALL
from tests.service.jobs.test_worker_command import working
from tests.service.running import serving
from tests.training.jobs.workers import states, trainings, wait_for

STEPS, EVERY = 1000, 100


def step_of(run: Path) -> int:
    """As the training itself says."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((run / "progress.json").read_text())["step"] or 0
    return 0


@pytest.mark.slow
def test_a_training_goes_on_without_its_service_and_after_a_deploy(home: Path, tmp_path: Path) -> None:
    trainer = {"max_steps": STEPS, "validate_every": EVERY, "checkpoint_every": 7, "accelerator": "cpu"}
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [os.kill(pid, signal.SIGKILL) for pid in trainings(home)])
        store = stack.enter_context(contextlib.closing(store_at(home)))
        worker = stack.enter_context(working(home))
        with serving(home, log=tmp_path / "log1") as first, Client(first.url, retries=50) as client:
            job = client.jobs.create({**SMALL, "trainer": trainer})
            run = home / "runs" / job.id
            wait_for(lambda: step_of(run) > 0)
            os.killpg(first.process.pid, signal.SIGKILL)
        seen = step_of(run)
        wait_for(lambda: step_of(run) > seen)
        (pid,) = trainings(home)
        os.kill(pid, signal.SIGSTOP)  # it would be done before all of this is
        with serving(home, log=tmp_path / "log2") as second, Client(second.url, retries=50) as client:
            shown = client.jobs.get(job.id)
            assert (shown.state, shown.attempt, shown.waiting, shown.steps) == ("running", 1, None, STEPS)
            assert shown.step >= seen
            os.kill(pid, signal.SIGCONT)
            wait_for(lambda: client.jobs.get(job.id).step > shown.step)
            assert trainings(home) == [pid]
            for process in (second.process.pid, worker.pid, pid):
                os.kill(process, signal.SIGTERM)
            assert (second.process.wait(120), worker.wait(120)) == (0, 0)
        assert not trainings(home)
        paused = store.get(job.id)
        assert (paused.state, paused.reason, paused.crashes) == ("queued", "the worker was stopped", 0)
        with serving(home, log=tmp_path / "log3", verb="up") as third, Client(third.url, retries=50) as client:
            events = [*client.jobs.events(job.id)]
            done = client.jobs.get(job.id)
            assert (done.state, done.attempt, done.step, done.stopped) == ("succeeded", 2, STEPS, False)
            assert done.model is not None and (done.model.name, done.model.version) == ("mine", 1)
            assert third.end() == 0
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        steps = [event.data["step"] for event in events if event.kind == "metrics"]
        assert steps == list(range(EVERY, STEPS + 1, EVERY))  # each once
        went = ["queued", "starting", "running", "interrupted"]
        assert states(store, job.id) == [*went, "queued", "starting", "running", "succeeded"]
        assert (run / "log.txt").read_text().count(": seed 0") == 2
