"""What Lightning trains: a classifier, its loss and its metrics."""

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from stn.classifiers import Classifier
from stn.config import to_dict
from training.config import TrainingConfig


class ClassificationModule(pl.LightningModule):
    """Cross entropy and accuracy of a classifier; `train/...`, `val/...` and `test/...` are its metrics' names."""

    def __init__(self, model: Classifier, config: TrainingConfig, classes: int) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.config = config
        self.train_accuracy = MulticlassAccuracy(classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "train", self.train_accuracy)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "val", self.val_accuracy)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, "test", self.test_accuracy)

    def configure_optimizers(self) -> Any:
        config = self.config.optimizer
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=config.learning_rate, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = to_dict(self.config)

    def _step(self, batch: tuple[Tensor, Tensor], stage: str, accuracy: Metric) -> Tensor:
        images, labels = batch
        logits = self.model(images).logits
        smoothing = self.config.optimizer.label_smoothing if stage == "train" else 0.0
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        accuracy(logits, labels)
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        self.log(f"{stage}/accuracy", accuracy, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss
