"""The batches of a run: each is a function of the seed and of its step, so that a run can go on from anywhere."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from training.distortions import Distortions
from training.randomness import generator


class Batch(NamedTuple):
    """Pictures as they go to a device."""

    images: Tensor
    """(B, C, H, W): bytes as read, or floats in [0, 1] once distorted."""
    labels: Tensor
    """(B,)."""
    step: int | None = None
    """The first step of the run that they are for, while they still have to be distorted."""
    drawn: Distortions | None = None
    """What they were distorted with."""


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


class Parts(NamedTuple):
    """A run's steps parted into Lightning's batches, of which as many lie between any two validations.

    One batch holds the images of several steps, so that a GPU need not wait for what Lightning does around each.
    """

    steps: int
    """Of the whole run."""
    between: int
    """Steps between two validations."""
    batches: int
    """Batches between two validations."""

    @classmethod
    def of(cls, steps: int, between: int, most: int) -> "Parts":
        """With at most so many steps in a batch; where that is more than one, there are two batches at least."""
        return cls(steps, between, max(min(2, most), -(-between // most)))

    @property
    def total(self) -> int:
        """How many batches there are."""
        return (self.steps * self.batches - 1) // self.between + 1

    def end(self, number: int) -> int:
        """The step before which the batch of this number ends, of 1, 2, ..."""
        return min(self.between * number // self.batches, self.steps)

    def done(self, step: int) -> int:
        """How many batches end at this step or before it."""
        return self.total if step >= self.steps else ((step + 1) * self.batches - 1) // self.between


class TrainingBatches:
    """The batches from a step to the last, for Lightning, which takes all of a run for one epoch.

    Args:
        images: (N, C, H, W), all pictures, bytes.
        labels: (N,).
        order: which pictures a step takes.
        parts: which steps are in which batch; a run goes on at the end of any.
        first: the step to begin with, asked for when a pass begins.
        rows: which of a batch's rows are this process's own.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, order: Order, parts: Parts, first: Callable[[], int], rows: slice
    ) -> None:
        self.images, self.labels, self.order = images, labels, order
        self.parts, self.first, self.rows = parts, first, rows

    def __len__(self) -> int:
        return self.parts.total

    def __iter__(self) -> Iterator[Batch]:
        step = self.first()
        for number in range(self.parts.done(step), self.parts.total):
            end = self.parts.end(number + 1)
            chosen = torch.cat([self.order[each][self.rows] for each in range(step, end)])
            chosen = chosen.to(self.images.device)
            yield Batch(self.images[chosen], self.labels[chosen], step)
            step = end


class FixedBatches:
    """Pictures that are distorted once, a batch at a time, each batch by a function of its own number.

    Args:
        images: (N, C, H, W), all pictures, bytes.
        labels: (N,).
        members: which of them.
        batch_size: pictures that are distorted and yielded at a time.
        distort: the pictures of a batch and its number to what they become, bytes.
        keep: whether they are kept once they are made.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        members: Int[Tensor, " n"],
        batch_size: int,
        distort: Callable[[Tensor, int], Tensor],
        keep: bool = True,
    ) -> None:
        self.images, self.distort = images, distort
        self.parts = members.split(batch_size) if len(members) else ()
        self.labels = labels[members]
        self._kept: dict[int, Tensor] | None = {} if keep else None

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Batch]:
        start = 0
        for number, part in enumerate(self.parts):
            yield Batch(self._batch(number), self.labels[start : start + len(part)])
            start += len(part)

    def first(self, count: int) -> Tensor:
        """The first pictures, at most a batch of them."""
        return self._batch(0)[:count]

    def _batch(self, number: int) -> Tensor:
        if self._kept is None:
            return self.distort(self.images[self.parts[number]], number)
        if number not in self._kept:
            self._kept[number] = self.distort(self.images[self.parts[number]], number)
        return self._kept[number]
