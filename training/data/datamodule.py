"""The data set of a config, for Lightning: which pictures are for what, and how they are distorted."""

import functools
import itertools
import math

import pytorch_lightning as pl
import torch
from torch import Tensor

from stn.config import InputConfig
from training.config import TrainingConfig
from training.data import DATASETS
from training.data.batches import Batch, FixedBatches, Order, Parts, TrainingBatches
from training.data.labelled import split
from training.distortions import distort, distort_fixed, draw, take
from training.randomness import generator

EVALUATION_BATCH = 500
"""Pictures that are validated and tested at a time."""

MOST_STEPS, MOST_VALUES = 50, 2**25
"""Of a batch on a GPU: steps, and values of distorted images, each of which takes 4 bytes and more while it is made."""

MOST_OTHERS = 10_000
"""Training pictures that clutter is cut from."""


class DataModule(pl.LightningDataModule):
    """Training pictures distorted afresh at every step, the others once with a fixed seed.

    The pictures of a step and their distortions are functions of the seed and of the step's number, so that a run that is
    resumed goes on as if it had never stopped, and processes that share a batch make the same one.
    """

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.data = data = DATASETS[config.data.name](config.data)
        self.class_names = data.class_names
        self.images, self.labels = data.images, data.labels
        self.streams = data.images.nbytes > config.data.memory * 2**30
        self.members, validation = split(data.train, data.labels, config.data.validation, config.seed, "validation")
        # Not of the members, which depend on the run's seed, as the test pictures must not.
        self.others = data.images[data.train[:MOST_OTHERS]] if config.distortion.clutter else None
        self.validation = self.fixed(validation, "validation")
        self.test = self.fixed(data.test, "test")

    @property
    def steps_per_epoch(self) -> int:
        """Of one pass over the training pictures, to the nearest."""
        return max(1, round(len(self.members) / self.config.trainer.batch_size))

    @property
    def steps(self) -> int:
        """Of the whole run."""
        trainer = self.config.trainer
        return trainer.max_steps or trainer.max_epochs * self.steps_per_epoch

    @property
    def steps_between_validations(self) -> int:
        return self.config.trainer.validate_every or max(2, self.steps_per_epoch)

    @property
    def parts(self) -> Parts:
        """The steps of each of Lightning's batches."""
        return Parts.of(self.steps, self.steps_between_validations, self._most_steps())

    def _most_steps(self) -> int:
        trainer = self.config.trainer
        if trainer.steps_at_once is not None:
            return trainer.steps_at_once
        if trainer.accelerator == "cpu" or not torch.cuda.is_available() or trainer.devices * trainer.nodes > 1:
            return 1
        _, channels, *source = self.data.images.shape
        values = trainer.batch_size * channels * math.prod(self.config.distortion.size or source)
        return max(1, min(MOST_STEPS, MOST_VALUES // values))

    def setup(self, stage: str) -> None:
        """On a GPU the pictures live there, unless they are read from a file as they are needed."""
        device = self._trainer().strategy.root_device
        if self.others is not None:
            self.others = self.others.to(device)
        if device.type != "cpu" and not self.streams:
            self.images, self.labels = self.images.to(device), self.labels.to(device)

    def train_dataloader(self) -> TrainingBatches:
        trainer = self._trainer()
        order = Order(self.members, self.config.trainer.batch_size, self.config.seed)
        return TrainingBatches(
            self.images, self.labels, order, self.parts, lambda: trainer.global_step, self._rows(trainer)
        )

    def val_dataloader(self) -> FixedBatches:
        return self.validation

    def test_dataloader(self) -> FixedBatches:
        return self.test

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        images, labels, step, _ = batch
        images = images.float() / 255
        if step is None:
            return Batch(images, labels)
        distortion, source = self.config.distortion.in_training, (images.shape[2], images.shape[3])
        chance = generator(self.config.seed, "train", step, device=images.device)
        others = 0 if self.others is None else len(self.others)
        count = len(images) * self._trainer().world_size
        drawn = draw(distortion, source, count, chance, others)
        mine = take(drawn, self._rows(self._trainer()))
        return Batch(distort(images, mine, distortion, self.others), labels, drawn=mine)

    def _rows(self, trainer: pl.Trainer) -> slice:
        """This process's rows of a batch that several share."""
        return slice(trainer.global_rank, None, trainer.world_size)

    def _trainer(self) -> pl.Trainer:
        assert self.trainer is not None, "the data module is used through a trainer"
        return self.trainer

    def fixed(self, members: Tensor, purpose: str) -> FixedBatches:
        """The same for every seed of the run, and made on the CPU, so that all runs are judged on the same images."""
        config, others = self.config.distortion, self.others

        def distort_batch(images: Tensor, number: int) -> Tensor:
            return distort_fixed(images, config, generator(0, purpose, number), others)

        return FixedBatches(self.images, self.labels, members, EVALUATION_BATCH, distort_batch, not self.streams)

    @functools.cached_property
    def input(self) -> InputConfig:
        """What the network is given, with mean and deviation of at most 5,000 of the validation images."""
        batches = [batch.images for batch in itertools.islice(self.validation, 10)]
        images = torch.cat(batches).float() / 255  # (N, C, H, W)
        _, channels, height, width = images.shape
        mean, std = images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3)).clamp(min=1e-3)
        return InputConfig(
            channels=channels,
            height=height,
            width=width,
            mean=tuple(round(value, 4) for value in mean.tolist()),
            std=tuple(round(value, 4) for value in std.tolist()),
            fit=self.config.data.fit,
        )
