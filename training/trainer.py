"""Lightning's trainer of a run, with all that looks on while it trains."""

from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import TensorBoardLogger

from training.align_probe import begin_pairs
from training.align_report import test_sheet
from training.attempts import Attempt, checking
from training.callbacks import MetricsFile, Progress, Samples, class_sheet
from training.checkpoints import Best, Last, WholeFileIO
from training.config import TrainingConfig
from training.control import Control
from training.data.datamodule import DataModule
from training.probe import Probe, begin_classes
from training.probe_folder import FOLDER


def make_trainer(
    config: TrainingConfig,
    run: Path,
    data: DataModule,
    *others: pl.Callback,
    begun: int | None = None,
    attempt: Attempt | None = None,
) -> pl.Trainer:
    """All of a run is one of Lightning's epochs, so that going on within it is the only way of going on.

    Args:
        others: callbacks that come before the run's own.
        begun: the step after which the run goes on, where it does; TensorBoard then forgets what it knows of later ones,
            and of this one, which was validated only if the run was stopped there.
        attempt: where a worker started the run.
    """
    settings, between = config.trainer, data.steps_between_validations
    # What may end the run comes first, so that the others know of it.
    stopping = EarlyStopping("val/loss", patience=settings.patience or 1, check_on_train_epoch_end=False)
    check = checking(attempt)
    last = Last(run / "checkpoints" / "last.ckpt", settings.checkpoint_every, data.parts)
    control = Control(attempt, last)
    callbacks: list[pl.Callback] = [
        *([] if settings.patience is None else [stopping]),
        control,
        *others,
        Progress(config.name, data.steps),
        MetricsFile(run / "metrics.jsonl", data.steps_per_epoch, check),
        *_looking(config, run, between, data.steps),
        Best(run / "checkpoints", lambda: control.stopped),
        last,
    ]
    processes = settings.devices * settings.nodes
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy="ddp" if processes > 1 else "auto",
        sync_batchnorm=processes > 1 and torch.accelerator.is_available() and settings.accelerator != "cpu",
        precision=PRECISIONS[settings.precision],
        benchmark=True,  # sizes never change
        max_epochs=1,
        val_check_interval=data.parts.batches,
        check_val_every_n_epoch=None,
        callbacks=callbacks,
        plugins=[WholeFileIO(check)],
        logger=TensorBoardLogger(run, name="", version="tensorboard", purge_step=begun),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


def _looking(config: TrainingConfig, run: Path, between: int, steps: int) -> list[pl.Callback]:
    """What draws pictures of what the network makes of others."""
    sheet, begin = (test_sheet, begin_pairs) if config.task == "align" else (class_sheet, begin_classes)
    # The probe after the samples: its frame tells that both are there.
    return [Samples(run / "samples", between, sheet), Probe(run / FOLDER, between, steps, begin)]


PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}
