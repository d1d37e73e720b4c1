"""One training run, from its config to a model file."""

import contextlib
import dataclasses
import json
import logging
import pickle
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from stn import Aligner, AlignerInfo, Classifier, ModelInfo, build_aligner, build_model, save_model
from stn.config import to_dict
from training.align_module import AlignmentModule
from training.align_report import write_align_report
from training.attempts import Attempt, checking
from training.callbacks import Pace, quality
from training.checkpoints import Best
from training.config import TrainingConfig
from training.data.datamodule import DataModule
from training.data.labelled import check_learnable
from training.machine import commit, device_name
from training.module import ClassificationModule
from training.pairs import view_size
from training.progress import ProgressFile
from training.report import write_run_report
from training.runs import write_json
from training.same_data import check_data
from training.trainer import Spread, make_trainer

log = logging.getLogger(__name__)


def fit(
    config: TrainingConfig, run: Path, attempt: Attempt | None = None, spread: Spread | None = None
) -> dict[str, float]:
    """Train, choose the best epoch, test it, write all of it into the run folder, and return the scores.

    A run that was stopped goes on from its last checkpoint, or from the start where it had none yet.

    Args:
        config: what to train.
        run: its folder; see `training.runs`.
        attempt: where a worker started it, who may stop it or have it superseded.
        spread: where neither Lightning nor torchrun nor SLURM started its processes.

    Raises:
        ValueError: what the config asks for is not there.
        KeyboardInterrupt: the run was interrupted; it can be resumed.
        Fenced: a later attempt has the run folder.
    """
    last = run / "checkpoints" / "last.ckpt"
    if config.trainer.accelerator == "gpu" and not torch.accelerator.is_available():
        raise ValueError("trainer.accelerator must be auto or cpu where there is no GPU, got 'gpu'")
    data = DataModule(config)
    check_data_for(config, data)
    torch.manual_seed(config.seed)
    module = _module(config, data)
    model = module.model
    begun = _step_of(last)
    pace = Pace()
    others = [pace] if attempt is None else [pace, ProgressFile(attempt, pace, data.steps)]
    trainer = make_trainer(config, run, data, *others, begun=begun, attempt=attempt, spread=spread)
    check_data(run, data.data, remember=trainer.is_global_zero)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    place = f"device {trainer.strategy.root_device}"
    log.info("%s: seed %d, %s, %d parameters, %s", config.name, config.seed, place, parameters, run)
    with _interruptible():
        trainer.fit(module, datamodule=data, ckpt_path=None if begun is None else last, weights_only=True)
    best = trainer.checkpoint_callback
    assert isinstance(best, Best)
    stopped = best.is_stopped()
    if trainer.global_step < data.steps:
        rule = "as asked" if stopped else f"no lower val/loss in {config.trainer.patience} validations"
        log.info("stopped early, after step %d: %s", trainer.global_step, rule)
    scores = _test_best(trainer, module, data, best.path)
    if trainer.is_global_zero:
        check = checking(attempt)
        check()
        _save(run, model, config, data, scores)
        if isinstance(module, AlignmentModule):
            write_align_report(run, module, data, scores)
        else:
            write_run_report(run, module.model, data, scores)
        result = {
            "status": "stopped" if stopped else "succeeded",
            "scores": scores,
            "steps": trainer.global_step,
            "seconds": pace.total,
            "seconds_per_step": pace.median(),
            "parameters": parameters,
        }
        check()
        write_json(run / "result.json", result if attempt is None else {**result, "attempt": attempt.number})
        log.info("test %s after %.1f s of training", quality(scores, "test"), pace.total)
    return scores


def check_data_for(config: TrainingConfig, data: DataModule) -> None:
    """A ValueError where the task cannot be learnt from these pictures."""
    if config.task == "classify":
        check_learnable(data.data)
        _warn_of_cuts(config, data.images)
    elif len(data.members) < 2 or not len(data.test) or not len(data.validation):
        found = f"{len(data.members)}, {len(data.validation)} and {len(data.test)}"
        raise ValueError(f"data.root must have 2 pictures to train on and 1 to validate and to test, got {found}")


def _module(config: TrainingConfig, data: DataModule) -> ClassificationModule | AlignmentModule:
    if config.task == "align":
        return AlignmentModule(build_aligner(config.aligner), config, data.steps)
    model = build_model(config.model, data.input, len(data.class_names))
    return ClassificationModule(model, config, len(data.class_names), data.steps)


def _step_of(last: Path) -> int | None:
    """The step of this checkpoint, or None where there is none yet."""
    try:
        return int(torch.load(last, weights_only=True, map_location="cpu")["global_step"])
    except FileNotFoundError:
        return None
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError):
        rule = "an undamaged checkpoint; without it the run begins anew"
        raise ValueError(f"{last} must be {rule}, got {last.stat().st_size} bytes that are none") from None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C with exit(1)."""
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None


def _test_best(trainer: pl.Trainer, module: pl.LightningModule, data: DataModule, best: Path) -> dict[str, float]:
    # Of several processes the first has written it, and perhaps to a disk of its own.
    first = trainer.is_global_zero
    weights: Any = torch.load(best, weights_only=True, map_location="cpu")["state_dict"] if first else None
    module.load_state_dict(trainer.strategy.broadcast(weights))
    with _interruptible():
        trainer.test(module, datamodule=data, verbose=False)
    scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
    if isinstance(trainer.logger, TensorBoardLogger):
        trainer.logger.log_metrics(scores, trainer.global_step)
        trainer.logger.save()
    return scores


def _save(
    run: Path, model: Classifier | Aligner, config: TrainingConfig, data: DataModule, scores: dict[str, float]
) -> None:
    provenance = {
        "command": "python -m training CONFIG.json",
        "config": json.dumps(_without_places(config)),
        "commit": commit(),
        "seed": str(config.seed),
        "data": config.data.name,
        "torch": torch.__version__,
        "lightning": version("pytorch-lightning"),
        "machine": platform.machine(),
        "device": device_name(),
    }
    info: ModelInfo | AlignerInfo
    if config.task == "align":
        height, width = view_size(config.pairs, data.input.size)
        images = dataclasses.replace(data.input, height=height, width=width)
        info = AlignerInfo(config=config.aligner, input=images, scores=scores, provenance=provenance)
    else:
        info = ModelInfo(
            config=config.model, input=data.input, class_names=data.class_names, scores=scores, provenance=provenance
        )
    save_model(run / "model.safetensors", model, info)


def _warn_of_cuts(config: TrainingConfig, images: Tensor) -> None:
    source, low, size = images.shape[2:], config.distortion.scale[0], config.distortion.size
    if size is not None and any(low * side > room for side, room in zip(source, size, strict=True)):
        log.warning(
            "every picture is cut: %dx%d, scaled by %g or more, does not fit into distortion.size %dx%d",
            *source,
            low,
            *size,
        )


def _without_places(config: TrainingConfig) -> dict[str, Any]:
    """All that decides how the run came out; not where this machine keeps its files."""
    values: dict[str, Any] = to_dict(config)
    for place in ("root", "cache"):
        values["data"].pop(place)
    return values
