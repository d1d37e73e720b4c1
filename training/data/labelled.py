"""Labelled pictures, and how they are parted."""

from typing import NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from training.randomness import generator


class DataSet(NamedTuple):
    """Pictures of one size with their classes, and which of them are for what."""

    images: UInt8[Tensor, "n c h w"]
    """In memory, or mapped from a file: only what is indexed is then read."""
    labels: Int[Tensor, " n"]
    train: Int[Tensor, " t"]
    """The numbers of the pictures that may be learnt from, in ascending order."""
    test: Int[Tensor, " e"]
    """Those that are kept for the test."""
    class_names: tuple[str, ...]


def split(
    members: Int[Tensor, " n"], labels: Int[Tensor, " all"], share: float, seed: int, purpose: str
) -> tuple[Int[Tensor, " a"], Int[Tensor, " b"]]:
    """The members in two parts, both ascending, the second with this share of every class (at least one of each).

    A function of the seed, the purpose and the members' classes alone.

    Args:
        members: numbers of pictures, ascending.
        labels: the classes of all pictures.
    """
    own = labels[members]
    order = torch.randperm(len(own), generator=generator(seed, "split", purpose))
    chosen = torch.zeros(len(own), dtype=torch.bool)
    for label in own.unique():
        of_class = order[own[order] == label]
        chosen[of_class[: max(1, round(share * len(of_class)))]] = True
    return members[~chosen], members[chosen]
