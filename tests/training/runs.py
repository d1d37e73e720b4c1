"""Small real runs, as a user or a job starts them."""

import dataclasses
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from stn import ModelConfig, load_model
from training.config import OptimizerConfig, TrainerConfig, TrainingConfig
from training.fit import fit
from training.presets import digits
from training.runs import create_run


def small(epochs: int = 2, **trainer: Any) -> TrainingConfig:
    """The preset `digits` with a small network and few epochs, of 10 steps each."""
    config = digits()
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, filters=(4, 8), units=16),
        trainer=TrainerConfig(**{"max_epochs": epochs, "batch_size": 128, "accelerator": "cpu", **trainer}),
    )


def restless(epochs: int = 3) -> TrainingConfig:
    """Whatever has a state or draws by chance: dropout, batch norm, momentum, early stopping, penalties."""
    config = small(epochs, checkpoint_every=3, validate_every=4, patience=50)
    model = ModelConfig(filters=(4, 8), units=16, dropout=0.3, identity_penalty=0.1, size=(20, 20))
    return dataclasses.replace(config, model=model, optimizer=OptimizerConfig(schedule="cosine", gradient_clip=1.0))


def train(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


def trained(root: Path, config: TrainingConfig) -> Path:
    """The folder of a run of this config that has ended well, trained in this process: it has no log."""
    run = create_run(root, config)
    with warnings.catch_warnings(action="ignore"):  # of Lightning, as in a process of its own
        fit(config, run)
    return run


def trained_apart(root: Path, config: TrainingConfig) -> Path:
    """The same by a process of its own, as a user or a job starts it."""
    run = create_run(root, config)
    done = train("--resume", run)
    assert done.returncode == 0, done.stderr
    return run


def step_of(checkpoint: Path) -> int:
    try:
        return int(torch.load(checkpoint, weights_only=True)["global_step"])
    except FileNotFoundError:
        return 0


def numbers(run: Path) -> list[dict[str, float]]:
    """Those of every validation, but not when it was."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


def kill_when(condition: Any, run: Path) -> None:
    """Start the run and kill it, as a power cut would, once the condition holds."""
    process = subprocess.Popen([sys.executable, "-m", "training", "--resume", str(run)], stderr=subprocess.DEVNULL)
    try:
        while not condition():
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()


def stop_after(step: int, config: TrainingConfig, run: Path) -> None:
    """Train in this process, and interrupt it once so many steps are done."""

    def stop(self: Any, trainer: Any, *_: Any) -> None:
        if trainer.global_step >= step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.callbacks.Pace.on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(config, run)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_model(run / "model.safetensors").state_dict()


def same_weights(first: Path, second: Path) -> bool:
    return all(torch.equal(tensor, weights(first)[name]) for name, tensor in weights(second).items())
