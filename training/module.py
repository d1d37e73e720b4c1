"""What Lightning trains: a classifier, its loss, its metrics and its optimiser."""

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from stn import Classified, Classifier, parameter_groups
from stn.config import to_dict
from stn.finite import NotFinite
from training.config import OptimizerConfig, TrainingConfig
from training.data.batches import Batch
from training.randomness import seed_of


class ClassificationModule(pl.LightningModule):
    """Cross entropy and accuracy of a classifier; `train/...`, `val/...` and `test/...` are its metrics' names.

    In training the transformer's penalties are added to the loss, where the config asks for any: `train/penalty`. Metrics
    of training are those since the last validation; they are part of a checkpoint, as all that a resumed run needs.

    Args:
        model: what is trained.
        config: of the run.
        classes: how many there are.
        steps: of the whole run.
    """

    def __init__(self, model: Classifier, config: TrainingConfig, classes: int, steps: int) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        if config.trainer.compile:
            self.model.compile()
        self.config = config
        self.steps = steps
        self.train_scores, self.val_scores, self.test_scores = (Scores(classes) for _ in range(3))
        self.penalties = MeanMetric(nan_strategy="disable")
        for metric in (self.train_scores.loss, self.train_scores.accuracy, self.penalties):
            metric.persistent(True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout is a function of the seed and the step, like the batch."""
        torch.manual_seed(seed_of(self.config.seed, "step", self.global_step, "process", self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        try:
            prediction = self.model(batch.images)
        except NotFinite as error:
            raise ValueError(diverged(str(error), self.global_step)) from None
        smoothing = self.config.optimizer.label_smoothing
        loss = F.cross_entropy(prediction.logits, batch.labels, label_smoothing=smoothing) + self._penalty(prediction)
        self.train_scores.update(loss, prediction, batch.labels)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(self.val_scores, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(self.test_scores, batch)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.device.type == "cpu" or self.global_step % 100 == 0:  # a GPU would have to wait for the answer
            require_finite(outputs["loss"], self.global_step)
        if self.global_step >= self.steps:
            self.trainer.should_stop = True  # so that Lightning validates once more

    def on_validation_epoch_end(self) -> None:
        values = self.val_scores.take("val")
        if self.train_scores.loss.update_called:
            values |= self.train_scores.take("train")
            values["learning_rate"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        if self.penalties.update_called:
            values["train/penalty"] = self.penalties.compute()
            self.penalties.reset()
        self.log_dict(values)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.test_scores.take("test"))

    def configure_optimizers(self) -> Any:
        config = self.config.optimizer
        optimizer = _optimizer(self.model, config, fused=not (self._scales_gradients() and config.gradient_clip))
        schedule = _schedule(optimizer, config, self.steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = to_dict(self.config)

    def _scales_gradients(self) -> bool:
        """float16 does, and Lightning cannot clip what a fused optimiser unscales."""
        return self.config.trainer.precision == "float16"

    def _evaluate(self, scores: "Scores", batch: Batch) -> None:
        prediction = self.model(batch.images)
        scores.update(F.cross_entropy(prediction.logits, batch.labels), prediction, batch.labels)

    def _penalty(self, prediction: Classified) -> Tensor | float:
        model = self.config.model
        if prediction.transformed is None or not (model.outside_penalty or model.identity_penalty):
            return 0.0
        assert self.model.transformer is not None
        penalty: Tensor = self.model.transformer.penalty(prediction.transformed)
        self.penalties.update(penalty.detach())
        return penalty


class Scores(nn.Module):
    """Mean loss and accuracy of what was counted since they were last taken."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")
        self.accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)

    def update(self, loss: Tensor, prediction: Classified, labels: Tensor) -> None:
        self.loss.update(loss.detach(), len(labels))
        self.accuracy.update(prediction.logits.detach(), labels)

    def take(self, stage: str) -> dict[str, Any]:
        values = {f"{stage}/loss": self.loss.compute(), f"{stage}/accuracy": self.accuracy.compute()}
        self.loss.reset()
        self.accuracy.reset()
        return values


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


def _optimizer(model: Classifier, config: OptimizerConfig, fused: bool) -> Optimizer:
    groups = parameter_groups(model, config.learning_rate)
    if config.name == "sgd":
        return torch.optim.SGD(
            groups, config.learning_rate, config.momentum, weight_decay=config.weight_decay, fused=fused
        )
    return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay, fused=fused)


def _schedule(optimizer: Optimizer, config: OptimizerConfig, steps: int) -> LRScheduler | None:
    if config.schedule == "one_cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=steps, cycle_momentum=config.name == "adamw")
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    if config.schedule == "step":
        return StepLR(optimizer, -(-steps // 3))
    return None
