"""The batches of a run: each is a function of the seed and of its step, so that a run can go on from anywhere."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from training.randomness import generator


class Batch(NamedTuple):
    """Pictures as they go to a device."""

    images: Tensor
    """(B, C, H, W): bytes as read, or floats in [0, 1] once distorted."""
    labels: Tensor
    """(B,)."""
    step: int | None = None
    """Which step of the run they are for, while they still have to be distorted."""


class Order:
    """An endless sequence of the members, shuffled anew for each pass over them; batches run across the passes' borders."""

    def __init__(self, members: Int[Tensor, " n"], batch_size: int, seed: int) -> None:
        self.members = members
        self.batch_size = batch_size
        self.seed = seed
        self._shuffled = (-1, members)

    def __getitem__(self, step: int) -> Int[Tensor, " b"]:
        """The members of the batch of this step."""
        count = len(self.members)
        position, parts = step * self.batch_size, []
        end = position + self.batch_size
        while position < end:
            number, start = divmod(position, count)
            part = self._pass(number)[start : start + end - position]
            parts.append(part)
            position += len(part)
        return torch.cat(parts)

    def _pass(self, number: int) -> Tensor:
        if self._shuffled[0] != number:
            order = torch.randperm(len(self.members), generator=generator(self.seed, "order", number))
            self._shuffled = (number, self.members[order])
        return self._shuffled[1]


class TrainingBatches:
    """The batches from a step to the last, for Lightning, which takes all of a run for one epoch.

    Args:
        images: (N, C, H, W), all pictures, bytes.
        labels: (N,).
        order: which pictures a step takes.
        steps: of the whole run.
        first: the step to begin with, asked for when a pass begins.
        rows: which of a batch's rows are this process's own.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, order: Order, steps: int, first: Callable[[], int], rows: slice
    ) -> None:
        self.images, self.labels, self.order = images, labels, order
        self.steps, self.first, self.rows = steps, first, rows

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first(), self.steps):
            chosen = self.order[step][self.rows].to(self.images.device)
            yield Batch(self.images[chosen], self.labels[chosen], step)


class FixedBatches:
    """Pictures in their own order, for validation and test."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch_size

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        pairs = zip(self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True)
        for images, labels in pairs:
            yield Batch(images, labels)
