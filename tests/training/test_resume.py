"""Nothing is lost: runs that are killed, and runs that cannot go on."""

import dataclasses
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stn import ModelConfig
from tests.training.runs import kill_when, numbers, restless, same_weights, small, step_of, train, trained
from training.config import OptimizerConfig
from training.runs import create_run


@pytest.mark.slow
@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.exhaustive), 18])
def test_a_run_killed_within_a_pass_ends_with_the_weights_of_one_that_was_not(
    undisturbed: Path, tmp_path: Path, step: int
) -> None:
    cut = create_run(tmp_path, restless())
    kill_when(lambda: step_of(cut / "checkpoints" / "last.ckpt") >= step, cut)
    assert not (cut / "result.json").exists()
    done = train("--resume", cut)
    assert done.returncode == 0, done.stderr
    assert same_weights(undisturbed, cut)
    assert numbers(undisturbed) == numbers(cut)
    for name in ("val/loss", "test/loss"):
        points = [[(event.step, event.value) for event in read_events(run).Scalars(name)] for run in (undisturbed, cut)]
        assert points[0] == points[1]


def read_events(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return events


@pytest.mark.exhaustive
def test_a_run_killed_twice_before_its_first_checkpoint_begins_anew(undisturbed: Path, tmp_path: Path) -> None:
    cut = create_run(tmp_path, restless())
    for _ in range(2):
        (cut / "metrics.jsonl").unlink(missing_ok=True)
        kill_when((cut / "metrics.jsonl").exists, cut)
    assert train("--resume", cut).returncode == 0
    assert same_weights(undisturbed, cut)


def test_a_finished_run_that_is_resumed_is_left_as_it_is(undisturbed: Path) -> None:
    before = (undisturbed / "model.safetensors").read_bytes()
    done = train("--resume", undisturbed)
    assert done.returncode == 0
    assert "the run is finished" in done.stderr
    second = train(
        "--resume", undisturbed, RANK="1", WORLD_SIZE="2", LOCAL_RANK="1"
    )  # which waits for no other process
    assert (second.returncode, second.stderr) == (0, "")
    assert (undisturbed / "model.safetensors").read_bytes() == before


def test_a_loss_that_is_not_finite_ends_the_run_with_the_reason_and_keeps_the_last_good_checkpoint(
    tmp_path: Path,
) -> None:
    config = small(20, checkpoint_every=1)
    config = dataclasses.replace(
        config,
        model=ModelConfig(classifier="fcn", transform="none", units=16),
        optimizer=OptimizerConfig(name="sgd", learning_rate=9.9, momentum=0.99, schedule="constant"),
        distortion=dataclasses.replace(config.distortion, size=(28, 28)),
    )
    run = create_run(tmp_path, config)
    done = train("--resume", run)
    assert done.returncode == 2
    assert "training diverged. A lower optimizer.learning_rate" in done.stderr
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(values.isfinite().all() for name, values in last.items() if name.startswith("model."))


@pytest.mark.parametrize(
    "trainer",
    [pytest.param({"checkpoint_every": 1, "validate_every": 7}, marks=pytest.mark.exhaustive), {"validate_every": 2}],
)
def test_what_diverges_says_so_wherever_that_is_found_and_leaves_nothing_that_is_not_finite(
    tmp_path: Path, trainer: dict[str, Any]
) -> None:
    optimizer = OptimizerConfig(name="sgd", learning_rate=9.9, weight_decay=9.9, schedule="constant")
    run = create_run(tmp_path, dataclasses.replace(small(20, **trainer), optimizer=optimizer))
    done = train("--resume", run)
    assert done.returncode == 2
    assert "training diverged. A lower optimizer.learning_rate" in done.stderr
    for checkpoint in run.glob("checkpoints/*.ckpt"):
        state = torch.load(checkpoint, weights_only=True)["state_dict"]
        assert all(values.isfinite().all() for name, values in state.items() if name.startswith("model."))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run = create_run(tmp_path, small())
    last = run / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.write_bytes(b"xx")
    done = train("--resume", run)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"error: {last} must be an undamaged checkpoint; without it the run begins anew, got 2 bytes that are none"
    )


def test_a_theta_that_is_not_finite_ends_the_run_with_the_same_reason(tmp_path: Path) -> None:
    optimizer = OptimizerConfig(name="sgd", learning_rate=9.9, weight_decay=9.0, schedule="constant")
    done = train("--resume", create_run(tmp_path, dataclasses.replace(small(20), optimizer=optimizer)))
    assert done.returncode == 2
    assert "theta must be" in done.stderr
    assert "training diverged. A lower optimizer.learning_rate" in done.stderr


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_the_reason_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    run = create_run(tmp_path, small(3, checkpoint_every=2))
    kill_when((run / "checkpoints" / "last.ckpt").exists, run)
    checkpoint = (run / "checkpoints" / "last.ckpt").read_bytes()

    def no_file_larger_than_a_few_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "training", "--resume", str(run)]
    done = subprocess.run(
        command, preexec_fn=no_file_larger_than_a_few_bytes, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 3
    assert "File too large" in done.stderr
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == checkpoint
    assert train("--resume", run).returncode == 0


@pytest.mark.parametrize(
    "trainer",
    [
        {"max_steps": 5},
        {"max_steps": 5, "validate_every": 2},
        {"max_steps": 1},
        {"max_steps": 7, "validate_every": 100},
    ],
)
def test_a_run_ends_after_its_steps_with_a_validation(tmp_path: Path, trainer: dict[str, Any]) -> None:
    run = trained(tmp_path, small(**trainer))
    assert json.loads((run / "result.json").read_text())["steps"] == trainer["max_steps"]
    last = (run / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["step"] == trainer["max_steps"]


def test_patience_ends_a_run_that_no_longer_learns(tmp_path: Path) -> None:
    config = dataclasses.replace(small(50, patience=2), optimizer=OptimizerConfig(learning_rate=1e-9))
    run = create_run(tmp_path, config)
    assert train("--resume", run).returncode == 0
    steps = json.loads((run / "result.json").read_text())["steps"]
    assert steps < 500
    log = (run / "log.txt").read_text()
    assert f"stopped early, after step {steps}: no lower val/loss in 2 validations" in log
    assert f"step {steps}/500" in log
    assert (run / "samples" / f"step-{steps:06d}.png").exists()
