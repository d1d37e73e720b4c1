"""MNIST through torchvision's reader."""

import torch
from torch import Tensor
from torchvision.datasets import MNIST

from training.config import DataConfig
from training.data.labelled import DataSet


def read_mnist(config: DataConfig) -> DataSet:
    """60,000 training and 10,000 test digits of 28x28 from ROOT/MNIST/raw, downloaded there where that is allowed."""
    parts = [_read(config, train) for train in (True, False)]
    images, labels = (torch.cat(both) for both in zip(*parts, strict=True))
    train, test = torch.arange(len(labels)).split([len(part[1]) for part in parts])
    return DataSet(images, labels, train, test, tuple(str(digit) for digit in range(10)))


def _read(config: DataConfig, train: bool) -> tuple[Tensor, Tensor]:
    try:
        data = MNIST(config.root, train=train, download=config.download)
    except (RuntimeError, OSError, ValueError, LookupError, AssertionError) as error:
        reason = (str(error) or "they are damaged").splitlines()[0]
        raise ValueError(
            f"data.root must be a folder with the MNIST files in MNIST/raw, got {config.root!r} ({reason})"
        ) from None
    return data.data[:, None], data.targets
