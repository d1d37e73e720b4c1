"""Labelled pictures in memory, and how they are parted."""

from typing import NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from training.randomness import generator


class Labelled(NamedTuple):
    """Pictures of one size with their classes."""

    images: UInt8[Tensor, "n c h w"]
    labels: Int[Tensor, " n"]


class DataSet(NamedTuple):
    """A data set as it is read: what may be learnt from, and what is kept for the test."""

    train: Labelled
    test: Labelled
    class_names: tuple[str, ...]


def split(pictures: Labelled, share: float, seed: int, purpose: str) -> tuple[Labelled, Labelled]:
    """The pictures in two parts, the second with this share of every class (at least one of each).

    A function of the seed and the purpose alone.
    """
    order = torch.randperm(len(pictures.labels), generator=generator(seed, "split", purpose))
    chosen = torch.zeros(len(order), dtype=torch.bool)
    for label in pictures.labels.unique():
        members = order[pictures.labels[order] == label]
        chosen[members[: max(1, round(share * len(members)))]] = True
    return (
        Labelled(pictures.images[~chosen], pictures.labels[~chosen]),
        Labelled(pictures.images[chosen], pictures.labels[chosen]),
    )
