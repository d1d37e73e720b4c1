"""What Lightning trains: a classifier, its loss, its metrics and its optimiser."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from stn import Classified, Classifier, parameter_groups
from stn.finite import NotFinite
from training.capture import Captured
from training.config import TrainingConfig
from training.data.batches import Batch
from training.distortions import Distortions
from training.randomness import reseed
from training.stepping import SteppingModule, diverged, make_optimizer, with_schedule
from training.straightness import straightness_loss


class Outcome(NamedTuple):
    """What is kept of the steps of a batch."""

    loss: Tensor
    """(), or (K,) of K steps."""
    classes: Tensor
    """(B,) or (K, B): the most likely ones."""
    penalty: Tensor
    """() or (K,): the part of the loss that is the transformer's alone."""


class ClassificationModule(SteppingModule[Classifier, "Scores", "Scores"]):
    """Cross entropy and accuracy of a classifier; `train/...`, `val/...` and `test/...` are its metrics' names.

    In training the transformer's penalties, and how far it is from undoing the distortions, are added to the loss, where the
    config asks for any: `train/penalty`. Metrics of training are those since the last validation; they are part of a
    checkpoint, as all that a resumed run needs.

    One of Lightning's batches holds the images of one or several steps of the optimiser, which is why they are made by hand
    (in Lightning's words, the optimisation is manual). On one GPU all of a step but the optimiser is a recording.

    Args:
        model: what is trained.
        config: of the run.
        classes: how many there are.
        steps: of the whole run.
    """

    def __init__(self, model: Classifier, config: TrainingConfig, classes: int, steps: int) -> None:
        super().__init__(model, config, steps)
        if config.trainer.compile:
            self.model.compile()
        self.gradients: Callable[..., Sequence[Tensor]] = self._gradients
        self.train_scores, self.val_scores, self.test_scores = (Scores(classes) for _ in range(3))
        self.penalties = MeanMetric(nan_strategy="disable")
        for metric in (self.train_scores.loss, self.train_scores.accuracy, self.penalties):
            metric.persistent(True)

    def setup(self, stage: str) -> None:
        """Channels last is what the CPU is faster with."""
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        self.model.to(memory_format=torch.channels_last if on_cpu else torch.contiguous_format)

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.device.type == "cuda" and self.trainer.world_size == 1 and self.config.trainer.cuda_graph:
            self.gradients = Captured(self._gradients, list(self.model.parameters()))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        size = self.config.trainer.batch_size // self.trainer.world_size
        parts = (batch.images, batch.labels, *self._moved(batch))
        steps = zip(*(part.split(size) for part in parts), strict=True)
        outcome = Outcome(*map(torch.stack, zip(*(self._step(*step) for step in steps), strict=True)))
        self.train_scores.update(outcome.loss, outcome.classes.flatten(), batch.labels, size)
        if self._has_penalty():
            self.penalties.update(outcome.penalty)
        return outcome.loss.mean()

    def _moved(self, batch: Batch) -> list[Tensor]:
        """What moved the images, where the loss asks for it: the matrix, the spline, or both."""
        if not self.config.optimizer.straighten or batch.drawn is None:
            return []
        return [field for field in (batch.drawn.matrix, batch.drawn.spline) if field is not None]

    def _step(self, images: Tensor, labels: Tensor, *moved: Tensor) -> Outcome:
        """One step of the optimiser and of the learning rate."""
        # Dropout is a function of the seed and the step, like the batch.
        reseed(self.device, self.config.seed, "step", self.global_step, "process", self.global_rank)
        outcome: Sequence[Tensor] = ()

        def closure() -> None:
            nonlocal outcome
            outcome = self.gradients(images, labels, *moved)

        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimizer, LightningOptimizer)
        optimizer.step(closure)
        if isinstance(schedule, LRScheduler):
            schedule.step()
        return Outcome(*outcome)

    def _gradients(self, images: Tensor, labels: Tensor, *moved: Tensor) -> Outcome:
        """Leaves the gradients of the loss in the parameters."""
        torch.clear_autocast_cache()  # of weights that have changed since, or that a recording must make itself
        self.model.zero_grad()
        prediction = self._predict(images)
        penalty = self._penalty(prediction, moved)
        smoothing = self.config.optimizer.label_smoothing
        loss = F.cross_entropy(prediction.logits, labels, label_smoothing=smoothing) + penalty
        self.manual_backward(loss)
        torch.clear_autocast_cache()
        return Outcome(loss.detach(), prediction.logits.detach().argmax(1), penalty.detach())

    def _predict(self, images: Tensor) -> Classified:
        try:
            prediction: Classified = self.model(images)
        except NotFinite as error:
            raise ValueError(diverged(str(error), self.global_step)) from None
        return prediction

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(self.val_scores, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(self.test_scores, batch)

    def further_values(self) -> dict[str, Any]:
        if not self.penalties.update_called:
            return {}
        penalty = self.penalties.compute()
        self.penalties.reset()
        return {"train/penalty": penalty}

    def configure_optimizers(self) -> Any:
        config = self.config.optimizer
        groups = parameter_groups(self.model, config.learning_rate)
        optimizer = make_optimizer(groups, config, fused=not (self._scales_gradients() and config.gradient_clip))
        return with_schedule(optimizer, config, self.steps)

    def _scales_gradients(self) -> bool:
        """float16 does, and Lightning cannot clip what a fused optimiser unscales."""
        return self.config.trainer.precision == "float16"

    def _evaluate(self, scores: "Scores", batch: Batch) -> None:
        prediction = self._predict(batch.images)
        loss = F.cross_entropy(prediction.logits, batch.labels)
        scores.update(loss, prediction.logits, batch.labels, len(batch.labels))

    def _has_penalty(self) -> bool:
        model = self.config.model
        asked = model.outside_penalty or model.identity_penalty or self.config.optimizer.straighten
        return self.model.transformer is not None and bool(asked)

    def _penalty(self, prediction: Classified, moved: Sequence[Tensor]) -> Tensor:
        if prediction.transformed is None or not self._has_penalty():
            return prediction.logits.new_zeros(())
        assert self.model.transformer is not None
        penalty = self.model.transformer.penalty(prediction.transformed)
        if not moved:
            return penalty
        matrix = next((field for field in moved if field.ndim == 3), None)
        spline = next((field for field in moved if field.ndim == 2), None)
        transform, theta = self.model.transformer.transform, prediction.transformed.theta
        loss = straightness_loss(transform, theta, Distortions(matrix, spline, None))
        return penalty + self.config.optimizer.straighten * loss


class Scores(nn.Module):
    """Mean loss and accuracy of what was counted since they were last taken."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")
        self.accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)

    def update(self, losses: Tensor, predicted: Tensor, labels: Tensor, count: int) -> None:
        """Count these images.

        Args:
            losses: (), or (K,) of K parts.
            predicted: (N,), the most likely classes, or (N, classes), scores of all.
            labels: (N,).
            count: images of each part.
        """
        self.loss.update(losses, count)
        self.accuracy.update(predicted, labels)

    def take(self, stage: str) -> dict[str, Any]:
        values = {f"{stage}/loss": self.loss.compute(), f"{stage}/accuracy": self.accuracy.compute()}
        self.loss.reset()
        self.accuracy.reset()
        return values
