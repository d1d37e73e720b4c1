"""Checkpoint files that are complete or absent, and hold nothing but finite weights."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from stn.whole_file import written_beside
from training.align_module import AlignmentModule
from training.data.batches import Parts
from training.module import ClassificationModule
from training.stepping import require_finite

SECONDS = 60.0
"""Between two checkpoints to go on from, where the config asks for none in between."""


class WholeFileIO(TorchCheckpointIO):
    """Writes each checkpoint beside its place and renames it, so that a kill never leaves half of one.

    Args:
        check: called before, and raises where none may be published any more.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.check = check

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        # Lightning's own writes into the folder of temporary files first; torch's errors say nothing of a full disk.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with written_beside(path) as beside:
            beside.write_bytes(buffer.getbuffer())
            self.check()


class Best(ModelCheckpoint):
    """`best.ckpt` whenever a validation finds the lowest loss so far.

    The validation of a run that is stopped before its end writes `stopped.ckpt` instead: a run that goes on after all must
    find what it would have without it.

    Args:
        folder: of both.
        is_stopped: whether the run is.
    """

    def __init__(self, folder: Path, is_stopped: Callable[[], bool] = lambda: False) -> None:
        super().__init__(
            folder,
            filename="best",
            monitor="val/loss",
            mode="min",
            save_weights_only=True,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self.path = folder / "best.ckpt"
        self.is_stopped = is_stopped

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.is_stopped():
            super().on_validation_end(trainer, pl_module)
        elif self.best_model_score is None or trainer.callback_metrics["val/loss"] < self.best_model_score:
            self.path = self.path.with_name("stopped.ckpt")
            trainer.save_checkpoint(self.path, weights_only=True)


class Last(pl.Callback):
    """`last.ckpt`, to go on from: every so many steps, or every minute and after each validation.

    It is never written at a step that is validated, but after the next batch: a run that goes on from it need not know
    whether the validation took place.
    """

    def __init__(self, path: Path, every: int | None, parts: Parts) -> None:
        self.path = path
        self.every = every
        self.parts = parts
        self.time = time.monotonic()
        self.step = 0
        self.due = False

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count the batches as this device parts the steps; another one may have begun the run."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["current"], progress["total"]):
            others = self.parts.done(checkpoint["global_step"]) - counts["ready"]
            counts.update({name: count + others for name, count in counts.items()})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.step = trainer.global_step

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.due |= self.every is None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        step, before = trainer.global_step, self.step
        self.step = step
        self.due |= self._is_due(trainer, before, step)
        if self.due and self.is_lawful(trainer):
            assert isinstance(pl_module, ClassificationModule | AlignmentModule)
            self.save(trainer, pl_module)

    def is_lawful(self, trainer: pl.Trainer) -> bool:
        """Whether a run may go on from this step, which no validation follows."""
        step = trainer.global_step
        return step % self.parts.between != 0 and step < self.parts.steps and not trainer.should_stop

    def save(self, trainer: pl.Trainer, module: ClassificationModule | AlignmentModule) -> None:
        """Write the checkpoint, unless something in it is not finite."""
        _require_finite(module, trainer.global_step)
        trainer.save_checkpoint(self.path)
        self.due, self.time = False, time.monotonic()

    def _is_due(self, trainer: pl.Trainer, before: int, step: int) -> bool:
        if self.every is not None:
            return step // self.every > before // self.every
        late = time.monotonic() - self.time > SECONDS
        if trainer.world_size == 1:
            return late
        return step % 100 == 0 and trainer.strategy.reduce_boolean_decision(late, all=False)


def _require_finite(module: ClassificationModule | AlignmentModule, step: int) -> None:
    """A ValueError where the loss since the last validation, a weight or a running statistic is not finite."""
    loss = module.train_scores.loss
    if loss.update_called:
        require_finite(loss.compute(), step)
    for values in (*module.parameters(), *module.buffers()):
        if values.is_floating_point():
            require_finite(values.detach().sum(), step)
