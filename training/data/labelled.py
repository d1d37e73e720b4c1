"""Labelled pictures, and how they are parted."""

from typing import NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from stn.config import require
from training.config import DataConfig
from training.randomness import generator

_TEST_SEED = 0


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


class Parts(NamedTuple):
    """Which pictures may be learnt from, and which are kept for the test; both ascending."""

    train: Int[Tensor, " t"]
    test: Int[Tensor, " e"]


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


def keep_test(labels: Int[Tensor, " n"], config: DataConfig) -> Parts:
    """The parts of a set that comes in one; the test's pictures are the same for every seed of a run."""
    return Parts(*split(torch.arange(len(labels)), labels, config.test, _TEST_SEED, "test"))


def check_names(class_names: tuple[str, ...]) -> None:
    """Refuse names of classes that a model file does not take, with a ValueError that gives the first."""
    for name in class_names:
        require(bool(name) and name.isprintable(), "data.root", "a set whose class names are printable", name)
    require(len(set(class_names)) == len(class_names), "data.root", "a set whose class names differ", class_names)


def check_learnable(data: DataSet) -> None:
    """Refuse classes that cannot be learnt and tested, with a ValueError that names the first."""
    class_names = data.class_names
    require(2 <= len(class_names) <= 65_536, "data.root", "a set of 2 to 65,536 classes", list(class_names[:5]))
    for part, least, purpose in (
        (data.train, 2, "training (one of them for validation)"),
        (data.test, 1, "the test"),
    ):
        counts = data.labels[part].bincount(minlength=len(class_names))
        if counts.min() < least:
            worst = int(counts.argmin())
            rule = f"a set with at least {least} readable picture{'s' * (least > 1)} of every class for {purpose}"
            raise ValueError(f"data.root must be {rule}, got {int(counts[worst])} of {class_names[worst]!r}")
