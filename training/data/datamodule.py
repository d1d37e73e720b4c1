"""Batches for Lightning: all pictures in memory, indexed and distorted a batch at a time."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from stn.config import InputConfig
from training.config import TrainingConfig
from training.data import DATASETS
from training.data.labelled import split
from training.distortions import distort, distort_fixed, draw
from training.randomness import generator

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W), bytes as read or floats in [0, 1] once distorted, and labels (B,)."""


class Labelled(NamedTuple):
    """Pictures of one size with their classes."""

    images: Tensor
    labels: Tensor


class Batches:
    """The batches of one pass; without an order of its own, that of the pictures."""

    def __init__(self, pictures: Labelled, batch_size: int, order: Callable[[], Tensor] | None = None) -> None:
        self.pictures = pictures
        self.batch_size = batch_size
        self.order = order

    def __len__(self) -> int:
        return -(-len(self.pictures.labels) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        images, labels = self.pictures
        if self.order is None:
            yield from zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True)
            return
        for chosen in self.order().split(self.batch_size):
            yield images[chosen], labels[chosen]


class DataModule(pl.LightningDataModule):
    """The data set of a config: training pictures distorted afresh at every step, the others once with a fixed seed.

    The order of an epoch and the distortions of a step are functions of the seed and of their number, so that a run that
    is resumed goes on as if it had never stopped.
    """

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        data = DATASETS[config.data.name](config.data)
        self.class_names = data.class_names
        train, validation = split(data.train, data.labels, config.data.validation, config.seed, "validation")
        self.train, kept, test = (
            Labelled(data.images[part], data.labels[part]) for part in (train, validation, data.test)
        )
        others = data.images[data.train]  # not `self.train`, which depends on the seed
        self.validation = self._distort_once(kept, "validation", others)
        self.test = self._distort_once(test, "test", others)
        self.input = self._input()

    def train_dataloader(self) -> Batches:
        return Batches(self.train, self.config.trainer.batch_size, self._order)

    def val_dataloader(self) -> Batches:
        return Batches(self.validation, self.config.trainer.batch_size)

    def test_dataloader(self) -> Batches:
        return Batches(self.test, self.config.trainer.batch_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        images, labels = batch
        if not images.is_floating_point():
            config, others = self.config.distortion, self.train.images
            random = generator(self.config.seed, "train", self._trainer().global_step, device=images.device)
            drawn = draw(config, (images.shape[2], images.shape[3]), len(images), random, len(others))
            images = distort(images.float() / 255, drawn, config, others)
        return images, labels

    def _order(self) -> Tensor:
        epoch = self._trainer().current_epoch
        return torch.randperm(len(self.train.labels), generator=generator(self.config.seed, "order", epoch))

    def _trainer(self) -> pl.Trainer:
        assert self.trainer is not None, "the data module is used through a trainer"
        return self.trainer

    def _distort_once(self, pictures: Labelled, purpose: str, others: Tensor) -> Labelled:
        """Fixed for every seed of the run, and made on the CPU, so that all runs are judged on the same images."""
        images = distort_fixed(pictures.images, self.config.distortion, generator(0, purpose), others)
        return Labelled(images.float() / 255, pictures.labels)

    def _input(self) -> InputConfig:
        images = self.validation.images  # (N, C, H, W)
        _, channels, height, width = images.shape
        mean, std = images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3)).clamp(min=1e-3)
        return InputConfig(
            channels=channels,
            height=height,
            width=width,
            mean=tuple(round(value, 4) for value in mean.tolist()),
            std=tuple(round(value, 4) for value in std.tolist()),
        )
