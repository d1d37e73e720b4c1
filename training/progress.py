"""progress.json: how far a run is, for those who watch it."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

from training.attempts import Attempt
from training.callbacks import Pace
from training.runs import write_json

Phase = Literal["data", "training", "testing", "measuring"]

SECONDS = 1.0
"""Between two."""


class ProgressFile(pl.Callback):
    """Written at the start and the end of training and once a second in between; a full disk ends the run elsewhere. Where
    there is nothing new it is touched, once a second as well: a sign of life.

    `{"attempt", "step", "steps", "loss", "eta_seconds", "seconds_per_step", "phase"}`; what is not known yet is null.

    Args:
        attempt: to which it belongs.
        pace: of the run, which knows how long steps take.
        steps: of the whole run.
    """

    def __init__(self, attempt: Attempt, pace: Pace, steps: int) -> None:
        self.attempt, self.pace, self.steps = attempt, pace, steps
        self.last = 0.0

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, "training")

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        if time.monotonic() - self.last >= SECONDS:
            self._write(trainer, "training", loss=float(outputs["loss"]))

    @rank_zero_only
    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if time.monotonic() - self.last >= SECONDS:
            self.last = time.monotonic()
            _touch(self.attempt)

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, "testing")

    def _write(self, trainer: pl.Trainer, phase: Phase, loss: float | None = None) -> None:
        self.last = time.monotonic()
        step, pace = trainer.global_step, self.pace.median()
        left = None if pace is None else pace * (self.steps - step) * (phase == "training")
        known = {"step": step, "steps": self.steps, "loss": loss, "eta_seconds": left, "seconds_per_step": pace}
        write_progress(self.attempt, phase, **known)


def write_progress(attempt: Attempt, phase: Phase, **known: float | None) -> None:
    """Replace progress.json, or touch it where the disk is full."""
    unknown = dict.fromkeys(("step", "steps", "loss", "eta_seconds", "seconds_per_step"))
    values = {"attempt": attempt.number, "phase": phase, **unknown, **known}
    try:
        write_json(_path(attempt), values)
    except OSError:
        _touch(attempt)


def _touch(attempt: Attempt) -> None:
    with contextlib.suppress(OSError):
        os.utime(_path(attempt))


def _path(attempt: Attempt) -> Path:
    return Path(attempt.run) / "progress.json"
