"""What Lightning trains of an aligner: its loss, its metrics and its optimiser."""

from typing import Any

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from stn.aligner import Aligner
from training.align_confidence import confidence_loss, shrunk
from training.align_loss import Losses, align_losses, unlike_loss
from training.align_scores import AlignScores, score_pairs
from training.config import TrainingConfig
from training.data.batches import Batch
from training.pairs import DrawnPairs, Pairs, draw_pairs, make_pairs, take_pairs
from training.randomness import generator
from training.stepping import SteppingModule, make_optimizer, with_schedule

_SURE = 6
"""For every so many pairs of a step the confidence sees one that belongs together and one that does not."""


class AlignmentModule(SteppingModule[Aligner, "TrainScores", AlignScores]):
    """Pairs of views of the pictures, made afresh at each step; `train/...`, `val/...`, `test/...` are its metrics' names.

    What makes a step's pairs is a function of the seed and the step, as all that a run draws. Metrics of training are those
    since the last validation.

    Args:
        model: what is trained.
        config: of the run.
        steps: of the whole run.
    """

    def __init__(self, model: Aligner, config: TrainingConfig, steps: int) -> None:
        super().__init__(model, config, steps)
        self.train_scores = TrainScores()
        self.val_scores, self.test_scores = AlignScores(), AlignScores()
        for metric in self.train_scores.children():
            metric.persistent(True)  # type: ignore[operator]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        size = self.config.trainer.batch_size // self.trainer.world_size
        steps = zip(batch.images.split(size), batch.labels.split(size), strict=True)
        return torch.stack([self._step(images, labels) for images, labels in steps]).mean()

    def pairs(self, pictures: Tensor, others: Tensor | None = None, *place: str | int) -> tuple[Pairs, DrawnPairs]:
        """Views of the pictures, this process's part of what is drawn for all that share the batch."""
        train = place[0] == "train"
        count, world = len(pictures), self._world() if train else 1
        chance = generator(self.config.seed if train else 0, *place, device=pictures.device)
        size = (pictures.shape[2], pictures.shape[3])
        drawn = draw_pairs(self.config.pairs, size, count * world, chance)
        mine = take_pairs(drawn, slice(self.global_rank, None, world)) if train else drawn
        return make_pairs(pictures, mine, self.config.pairs, others), mine

    def _step(self, pictures: Tensor, labels: Tensor) -> Tensor:
        losses = Losses.none(pictures)

        def closure() -> None:
            nonlocal losses
            self.model.zero_grad()
            losses = self._losses(pictures, labels)
            self.manual_backward(losses.total(self.config.pairs.points, self.config.pairs.photometric))

        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimizer, LightningOptimizer)
        optimizer.step(closure)
        if isinstance(schedule, LRScheduler):
            schedule.step()
        loss = losses.total(self.config.pairs.points, self.config.pairs.photometric).detach()
        self.train_scores.update(loss, losses)
        return loss

    def _losses(self, pictures: Tensor, labels: Tensor) -> Losses:
        config, step = self.config.pairs, self.global_step
        with torch.autocast(self.device.type, enabled=False):
            if config.same_class:
                chance = generator(self.config.seed, "real", step)
                if float(torch.rand((), generator=chance)) < config.same_class:
                    (moving, fixed), _ = self.pairs(pictures, pictures[_partners(labels)], "train", step)
                    return unlike_loss(self.model, moving, fixed)
            (moving, fixed), drawn = self.pairs(pictures, None, "train", step)
            losses = align_losses(self.model, moving, fixed, drawn, photometric=config.photometric > 0)
            return losses._replace(confidence=losses.confidence + self._confidence(pictures, labels))

    def _confidence(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """The loss of the confidence on some pairs of another size, half of which do not belong together."""
        config, step = self.config.pairs, self.global_step
        count = max(2, len(pictures) // _SURE)
        chance = generator(self.config.seed, "confidence", step)
        pictures, labels = shrunk(pictures[:count], config, chance), labels[:count]
        (moving, fixed), drawn = self.pairs(pictures, None, "train", step, "confidence")
        unlike = labels != labels.roll(1) if config.same_class else torch.ones_like(labels, dtype=torch.bool)
        return confidence_loss(self.model, moving, fixed, drawn, unlike)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(self.val_scores, batch, "validation", batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(self.test_scores, batch, "test", batch_idx)

    def _evaluate(self, scores: AlignScores, batch: Batch, part: str, number: int) -> None:
        (moving, fixed), drawn = self.pairs(batch.images, None, part, number)
        scores.update(score_pairs(self.model, moving, fixed, drawn, self.config.pairs), max(fixed.shape[2:]))

    def configure_optimizers(self) -> Any:
        config = self.config.optimizer
        optimizer = make_optimizer([{"params": list(self.model.parameters())}], config, fused=False)
        return with_schedule(optimizer, config, self.steps)

    def _world(self) -> int:
        return self._trainer.world_size if self._trainer is not None else 1


class TrainScores(nn.Module):
    """Means of the parts of the loss since they were last taken."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")
        self.points = MeanMetric(nan_strategy="disable")
        self.search = MeanMetric(nan_strategy="disable")

    def update(self, loss: Tensor, losses: Losses) -> None:
        self.loss.update(loss)
        self.points.update(losses.points.detach())
        self.search.update(losses.search.detach())

    def take(self, stage: str) -> dict[str, Any]:
        metrics = {"loss": self.loss, "points": self.points, "search": self.search}
        values = {f"{stage}/{name}": metric.compute() for name, metric in metrics.items()}
        for metric in metrics.values():
            metric.reset()
        return values


def _partners(labels: Tensor) -> Tensor:
    """For each picture the next one of its class in the batch; itself, where there is no other."""
    partners = torch.arange(len(labels), device=labels.device)
    for label in labels.unique():
        own = (labels == label).nonzero().flatten()
        partners[own] = own.roll(-1)
    return partners
