"""Runs that a worker started: they are paused, stopped and superseded, and nothing of that shows in what they learn."""

import contextlib
import fcntl
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.training.runs import numbers, restless, same_weights, small, step_of, train
from training.attempts import Attempt, Fenced, Watched, ask, ask_nothing, own, withdraw
from training.runs import Held, create_run, hold


@contextlib.contextmanager
def started(run: Path, attempt: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "training", "--resume", str(run), "--attempt", str(attempt)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], Any], process: "subprocess.Popen[str]") -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def result(run: Path) -> Any:
    return json.loads((run / "result.json").read_text())


def files(run: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name not in ("log.txt", ".lock")}


@pytest.mark.slow
def test_a_run_that_was_paused_and_stopped_ends_as_one_that_was_not(undisturbed: Path, tmp_path: Path) -> None:
    run = create_run(tmp_path, restless())
    own(run, 1)
    with started(run, 1) as process:
        wait_until((run / "metrics.jsonl").exists, process)
        ask(run, "pause", 1)
        assert process.wait(60) == 130
    paused = step_of(run / "checkpoints" / "last.ckpt")
    assert paused % 4, "no run goes on from a step that is validated"
    assert json.loads((run / "progress.json").read_text())["attempt"] == 1

    own(run, 2)  # what was asked of the first attempt is none of the second's business
    with started(run, 2) as process:
        wait_until(lambda: Watched(run / "progress.json").read()["attempt"] == 2, process)
        ask(run, "stop", 2)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert {"status": "stopped", "attempt": 2}.items() <= result(run).items()
    stopped = result(run)["steps"]
    assert paused < stopped < 30
    assert numbers(run)[-1]["step"] == stopped
    assert f"stopped early, after step {stopped}: as asked" in said
    assert (run / "model.safetensors").exists()

    ask_nothing(run)
    own(run, 3)
    done = train("--resume", run, "--attempt", "3")
    assert done.returncode == 0, done.stderr
    assert {"status": "succeeded", "attempt": 3}.items() <= result(run).items()
    assert json.loads((run / "result.stopped.json").read_text())["attempt"] == 2
    assert same_weights(undisturbed, run)
    assert numbers(run) == numbers(undisturbed)
    progress = json.loads((run / "progress.json").read_text())
    assert {"attempt": 3, "step": 30, "steps": 30, "phase": "testing", "eta_seconds": 0}.items() <= progress.items()
    assert progress["seconds_per_step"] > 0


@pytest.mark.slow
def test_a_process_that_is_adopted_goes_on_and_one_that_is_not_publishes_nothing_more(tmp_path: Path) -> None:
    run = create_run(tmp_path, small(10_000, validate_every=20, checkpoint_every=1))
    own(run, 3)
    with started(run, 3) as process:
        wait_until((run / "checkpoints" / "last.ckpt").exists, process)
        own(run, 4, adopted=3)
        wait_until(lambda: Watched(run / "progress.json").read()["attempt"] == 4, process)
        own(run, 6, adopted=3)
        wait_until(lambda: Watched(run / "progress.json").read()["attempt"] == 6, process)
        own(run, 7)
        assert process.wait(60) == 4
        before = files(run)
        done = train("--resume", run, "--attempt", "6")
        assert (done.returncode, done.stderr.count("attempt 7 has the run folder")) == (4, 1)
        assert files(run) == before


@pytest.mark.exhaustive
def test_processes_that_share_a_batch_are_paused_and_stopped_together(tmp_path: Path) -> None:
    run = create_run(tmp_path, small(10_000, devices=2))
    own(run, 1)
    with started(run, 1) as process:
        wait_until((run / "metrics.jsonl").exists, process)
        ask(run, "pause", 1)
        assert process.wait(60) == 130
    step = step_of(run / "checkpoints" / "last.ckpt")
    ask(run, "stop", 2)
    done = train("--resume", run, "--attempt", "2")
    assert done.returncode == 0, done.stderr
    assert result(run)["status"] == "stopped"
    assert step < result(run)["steps"] <= step + 2  # at once, but not where a validation follows anyway


def test_an_attempt_knows_what_is_asked_of_it_alone(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 2)
    assert attempt.asked() is None
    ask(tmp_path, "stop", 1)
    assert attempt.asked() is None
    own(tmp_path, 5, adopted=2)
    ask(tmp_path, "pause", 5)
    assert (attempt.asked(), attempt.number) == ("pause", 5)
    ask_nothing(tmp_path)
    assert attempt.asked() is None
    own(tmp_path, 6)
    with pytest.raises(Fenced, match="attempt 6 has the run folder"):
        attempt.asked()


def test_a_run_folder_can_be_waited_for(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(Held, match="no other process is running"), hold(tmp_path, patience=0.2):
        pass
    with hold(tmp_path, patience=0.2):
        pass


def test_what_was_withdrawn_is_closed_to_all_until_a_later_attempt_begins(tmp_path: Path) -> None:
    own(tmp_path, 1)
    first = Attempt(tmp_path, 1)
    first.check()
    withdraw(tmp_path, 1)
    with pytest.raises(Fenced, match="withdrawn from attempt 1"):
        first.check()
    own(tmp_path, 2, adopted=1)
    first.check()
    withdraw(tmp_path, 1)  # it is known by the number with which it was started
    with pytest.raises(Fenced, match="withdrawn from attempt 2"):
        first.check()
    own(tmp_path, 3)
    withdraw(tmp_path, 1)
    Attempt(tmp_path, 3).check()
    with pytest.raises(Fenced, match="attempt 3 has the run folder"):
        first.check()


def test_a_withdrawal_and_an_attempt_that_begins_at_that_moment_do_not_undo_each_other(tmp_path: Path) -> None:
    for number in range(1, 30, 2):
        own(tmp_path, number)
        both = [
            threading.Thread(target=work)
            for work in (partial(own, tmp_path, number + 1), partial(withdraw, tmp_path, number))
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        Attempt(tmp_path, number + 1).check()
        with pytest.raises(Fenced, match=f"attempt {number + 1} has the run folder"):
            Attempt(tmp_path, number).check()


def test_whoever_stands_still_while_it_writes_holds_up_nobody_for_long(tmp_path: Path) -> None:
    with (tmp_path / ".owner").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        own(tmp_path, 1)
    Attempt(tmp_path, 1).check()
