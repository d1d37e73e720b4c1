"""What every kind of training has in common: steps that are made by hand, what ends them, and the optimiser."""

from typing import Any, Generic, Protocol, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR
from torchmetrics import Metric

from stn.config import to_dict
from training.config import OptimizerConfig, TrainingConfig
from training.data.batches import Batch

Model = TypeVar("Model", bound=nn.Module)


class StageScores(Protocol):
    """Metrics of training, validation or test."""

    @property
    def loss(self) -> Metric: ...

    def take(self, stage: str) -> dict[str, Any]:
        """Those since they were last taken, by name with the stage in front."""


TrainScores = TypeVar("TrainScores", bound=StageScores)
TestScores = TypeVar("TestScores", bound=StageScores)


class SteppingModule(pl.LightningModule, Generic[Model, TrainScores, TestScores]):
    """One of Lightning's batches holds the images of one or several steps of the optimiser, which is why they are made by
    hand (in Lightning's words, the optimisation is manual).

    Args:
        model: what is trained.
        config: of the run.
        steps: of the whole run.
    """

    train_scores: TrainScores
    val_scores: TestScores
    test_scores: TestScores

    def __init__(self, model: Model, config: TrainingConfig, steps: int) -> None:
        super().__init__()
        self.model = model
        self.automatic_optimization = False
        self.config, self.steps = config, steps
        self.rate = 0.0
        """Of the last step: the class layers', where the localization net has one of its own."""

    def further_values(self) -> dict[str, Any]:
        """Metrics of training beside its scores."""
        return {}

    def on_train_start(self) -> None:
        for optimizer in self.trainer.optimizers:
            lay_out_states(optimizer)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.rate = optimizer.param_groups[-1]["lr"]
        if self.config.optimizer.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.gradient_clip)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.device.type == "cpu" or batch_idx % 10 == 0:  # a GPU has to be waited for
            require_finite(outputs["loss"], self.global_step)
        if self.global_step >= self.steps:
            self.trainer.should_stop = True  # so that Lightning validates once more

    def on_validation_epoch_end(self) -> None:
        values = self.val_scores.take("val")
        require_finite(values["val/loss"], self.global_step)
        if self.train_scores.loss.update_called:
            values |= self.train_scores.take("train")
            values |= self.further_values()
            values["learning_rate"] = self.rate
        values["step"] = float(self.global_step)  # where Lightning's logger puts the others; it would count batches
        self.log_dict(values)

    def on_test_epoch_end(self) -> None:
        values = self.test_scores.take("test")
        require_finite(values["test/loss"], self.global_step)
        self.log_dict(values, logger=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = to_dict(self.config)


def require_finite(loss: Tensor, step: int) -> None:
    """A ValueError where the loss is not finite."""
    if not loss.isfinite():
        raise ValueError(diverged(f"loss must stay finite, got {float(loss):g}", step))


def diverged(what: str, step: int) -> str:
    """What is told of a run that cannot go on."""
    return (
        f"{what} at step {step}: training diverged. A lower optimizer.learning_rate, an optimizer.gradient_clip or a lower "
        "model.localization_rate may help; the last checkpoint is from before"
    )


def lay_out_states(optimizer: Optimizer) -> None:
    """Give what the optimiser remembers of each weight the weight's layout in memory; another device may have saved it."""
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def make_optimizer(groups: list[dict[str, Any]], config: OptimizerConfig, fused: bool) -> Optimizer:
    """The configured one, of these groups of parameters."""
    if config.name == "sgd":
        return torch.optim.SGD(
            groups, config.learning_rate, config.momentum, weight_decay=config.weight_decay, fused=fused
        )
    return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay, fused=fused)


def with_schedule(optimizer: Optimizer, config: OptimizerConfig, steps: int) -> Any:
    """What Lightning takes: the optimiser, and the configured schedule where the rate is not constant."""
    schedule = _schedule(optimizer, config, steps)
    return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}


def _schedule(optimizer: Optimizer, config: OptimizerConfig, steps: int) -> LRScheduler | None:
    if config.schedule == "one_cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=steps, cycle_momentum=config.name == "adamw")
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    if config.schedule == "step":
        return StepLR(optimizer, -(-steps // 3))
    return None
