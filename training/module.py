"""What Lightning trains: a classifier, its loss and its metrics."""

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from stn import Classified, Classifier, parameter_groups
from stn.config import to_dict
from training.config import TrainingConfig


class ClassificationModule(pl.LightningModule):
    """Cross entropy and accuracy of a classifier; `train/...`, `val/...` and `test/...` are its metrics' names.

    In training the transformer's penalties are added to the loss, where the config asks for any: `train/penalty`.
    """

    def __init__(self, model: Classifier, config: TrainingConfig, classes: int) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.config = config
        self.train_accuracy = MulticlassAccuracy(classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        prediction = self.model(images)
        loss = F.cross_entropy(prediction.logits, labels, label_smoothing=self.config.optimizer.label_smoothing)
        loss = loss + self._penalty(prediction)
        self._log("train", loss, self.train_accuracy, prediction, labels)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("val", self.val_accuracy, batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("test", self.test_accuracy, batch)

    def configure_optimizers(self) -> Any:
        config = self.config.optimizer
        groups = parameter_groups(self.model, config.learning_rate)
        rates = [group["lr"] for group in groups]
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=rates, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = to_dict(self.config)

    def _evaluate(self, stage: str, accuracy: Metric, batch: tuple[Tensor, Tensor]) -> None:
        images, labels = batch
        prediction = self.model(images)
        self._log(stage, F.cross_entropy(prediction.logits, labels), accuracy, prediction, labels)

    def _penalty(self, prediction: Classified) -> Tensor | float:
        model = self.config.model
        if prediction.transformed is None or not (model.outside_penalty or model.identity_penalty):
            return 0.0
        assert self.model.transformer is not None
        penalty = self.model.transformer.penalty(prediction.transformed)
        self.log("train/penalty", penalty, on_step=False, on_epoch=True, batch_size=len(prediction.logits))
        return penalty

    def _log(self, stage: str, loss: Tensor, accuracy: Metric, prediction: Classified, labels: Tensor) -> None:
        accuracy(prediction.logits, labels)
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        self.log(f"{stage}/accuracy", accuracy, on_step=False, on_epoch=True, batch_size=len(labels))
