"""Checkpoint files that are complete or absent."""

import os
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO


class WholeFileIO(TorchCheckpointIO):
    """Writes each checkpoint beside its place and renames it, so that a kill never leaves half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            super().save_checkpoint(checkpoint, beside, storage_options)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)


def best_and_last(folder: Path) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """`best.ckpt` whenever the validation loss is the lowest so far, and `last.ckpt` after every epoch.

    The best is written first: a run that is killed in between goes on from the epoch before and finds it again.
    """
    return (
        ModelCheckpoint(folder, filename="best", monitor="val/loss", mode="min", enable_version_counter=False),
        ModelCheckpoint(folder, filename="last", enable_version_counter=False),
    )
