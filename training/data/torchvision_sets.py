"""The sets whose pictures are of one size, through torchvision's readers: from `root`, or downloaded to it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torchvision.datasets import CIFAR10, KMNIST, MNIST, SVHN, FashionMNIST

from training.config import DataConfig
from training.data.labelled import DataSet
from training.failures import Unreachable, is_of_disk, is_of_network

_DIGITS = tuple("0123456789")

DAMAGED = (RuntimeError, OSError, ValueError, LookupError, AssertionError)
"""What torchvision's readers raise where files are missing or damaged."""


class Part(NamedTuple):
    """The training or the test pictures of a set."""

    images: UInt8[Tensor, "n c h w"]
    labels: Int[Tensor, " n"]


def read_mnist(config: DataConfig) -> DataSet:
    """60,000 training and 10,000 test digits of 28x28, in MNIST/raw."""
    return _join(config, partial(_idx, MNIST), _DIGITS, "the MNIST files in MNIST/raw")


def read_fashion_mnist(config: DataConfig) -> DataSet:
    """60,000 training and 10,000 test pictures of clothes, 28x28, in FashionMNIST/raw."""
    return _join(
        config, partial(_idx, FashionMNIST), tuple(FashionMNIST.classes), "the Fashion-MNIST files in FashionMNIST/raw"
    )


def read_kmnist(config: DataConfig) -> DataSet:
    """60,000 training and 10,000 test characters of 10 kinds of hiragana, 28x28, in KMNIST/raw."""
    return _join(config, partial(_idx, KMNIST), tuple(KMNIST.classes), "the KMNIST files in KMNIST/raw")


def read_cifar10(config: DataConfig) -> DataSet:
    """50,000 training and 10,000 test pictures of things and animals, 32x32 in colour, in cifar-10-batches-py."""
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    return _join(config, _cifar10, names, "the CIFAR-10 batches in cifar-10-batches-py")


def read_svhn(config: DataConfig) -> DataSet:
    """73,257 training and 26,032 test digits of house numbers, 32x32 in colour."""
    return _join(config, _svhn, _DIGITS, "train_32x32.mat and test_32x32.mat of SVHN")


def refuse(config: DataConfig, holds: str, error: Exception) -> ValueError | Unreachable:
    """The error that says what the root must hold, and why a reader did not find it, or that it could not be downloaded."""
    reason = (str(error) or "they are damaged").splitlines()[0]
    if config.download and (
        is_of_network(error) or reason.startswith("Error downloading")
    ):  # of each mirror, torchvision says
        why = " ".join(str(error).split())
        return Unreachable(f"the data set {config.name} could not be downloaded to {config.root} ({why})")
    return ValueError(f"data.root must be a folder with {holds}, got {config.root!r} ({reason})")


def _join(
    config: DataConfig, read: Callable[[DataConfig, bool], Part], class_names: tuple[str, ...], holds: str
) -> DataSet:
    """Both parts of a set as one, the training pictures first."""
    try:
        parts = [read(config, train) for train in (True, False)]
    except DAMAGED as error:
        if is_of_disk(error):
            raise
        raise refuse(config, holds, error) from None
    images, labels = (torch.cat(both) for both in zip(*parts, strict=True))
    train, test = torch.arange(len(labels)).split([len(part.labels) for part in parts])
    return DataSet(images, labels, train, test, class_names)


def _idx(kind: type[MNIST], config: DataConfig, train: bool) -> Part:
    data = kind(config.root, train=train, download=config.download)
    return Part(data.data[:, None], data.targets)


def _cifar10(config: DataConfig, train: bool) -> Part:
    data = CIFAR10(config.root, train=train, download=config.download)
    return Part(torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets))


def _svhn(config: DataConfig, train: bool) -> Part:
    data = SVHN(config.root, split="train" if train else "test", download=config.download)
    return Part(torch.from_numpy(data.data).contiguous(), torch.from_numpy(data.labels))
