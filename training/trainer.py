"""Lightning's trainer of a run, with all that looks on while it trains."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy

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


class Spread(NamedTuple):
    """How the processes of a run find each other that somebody else has started than Lightning, torchrun or SLURM."""

    strategy: DDPStrategy
    environment: ClusterEnvironment


def make_trainer(
    config: TrainingConfig,
    run: Path,
    data: DataModule,
    *others: pl.Callback,
    begun: int | None = None,
    attempt: Attempt | None = None,
    spread: Spread | None = None,
) -> pl.Trainer:
    """All of a run is one of Lightning's epochs, so that going on within it is the only way of going on.

    Args:
        others: callbacks that come before the run's own.
        begun: the step after which the run goes on, where it does; TensorBoard then forgets what it knows of later ones,
            and of this one, which was validated only if the run was stopped there.
        attempt: where a worker started the run.
        spread: where its processes were started otherwise.
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
        **_processes(config, spread),
        sync_batchnorm=processes > 1 and torch.accelerator.is_available() and settings.accelerator != "cpu",
        precision=PRECISIONS[settings.precision],
        benchmark=True,  # sizes never change
        max_epochs=1,
        val_check_interval=data.parts.batches,
        check_val_every_n_epoch=None,
        callbacks=callbacks,
        plugins=[WholeFileIO(check), *([] if spread is None else [spread.environment])],
        logger=TensorBoardLogger(run, name="", version="tensorboard", purge_step=begun),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


def _processes(config: TrainingConfig, spread: Spread | None) -> dict[str, Any]:
    if spread is not None:  # each has the device that it sees
        return {"devices": "auto", "strategy": spread.strategy}
    devices, nodes = config.trainer.devices, config.trainer.nodes
    return {"devices": devices, "num_nodes": nodes, "strategy": "ddp" if devices * nodes > 1 else "auto"}


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
