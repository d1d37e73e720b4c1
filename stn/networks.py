"""Networks that make one vector of an image, for a class layer to read: those of the paper and the tutorial, a modern one.

Each comes in two pieces: the trunk, which a localization net may share, and the head. They take normalised images.
"""

from typing import NamedTuple

from torch import nn

from stn.convolution import Conv2d
from stn.pooling import MaxPool2d
from stn.unpadded import Unpadded


class Network(NamedTuple):
    """Image -> trunk -> head -> vector."""

    trunk: nn.Module
    """The first layers."""
    channels: int
    """Channels of the trunk's output."""
    size: tuple[int, int]
    """Height and width of the trunk's output; (1, 1) where it is a vector."""
    head: nn.Module
    """The rest."""
    features: int
    """Width of the vector that the head gives."""
    dropout: float = 0.0
    """Share of that vector that the recipe drops in training."""


def fcn(channels: int, size: tuple[int, int], units: int, batch_norm: bool = False) -> Network:
    """Two dense layers with ReLU; the trunk is the first. Source: Jaderberg et al. 2015, A.1.

    >>> stn.networks.fcn(1, (28, 28), units=256).features
    256
    """
    height, width = size
    return Network(
        trunk=nn.Sequential(nn.Flatten(), *_dense(channels * height * width, units, batch_norm)),
        channels=units,
        size=(1, 1),
        head=nn.Sequential(*_dense(units, units, batch_norm)),
        features=units,
    )


def cnn(channels: int, size: tuple[int, int], filters: tuple[int, int], batch_norm: bool = False) -> Network:
    """Conv 9x9, max pooling by 2, conv 7x7, max pooling by 2, stride 1, no padding, ReLU; all of it is the trunk.

    Source: Jaderberg et al. 2015, A.1. Pooling rounds up, so that 42x42 pixels, halved to 21x21, pass as in the paper; it
    stands before ReLU, which gives the same numbers for a quarter of the work, and before batch norm, whose statistics are
    then those of what pooling kept.

    >>> stn.networks.cnn(1, (28, 28), filters=(64, 64)).size
    (2, 2)
    """
    if min(size) < 21:
        raise ValueError(f"size must be at least (21, 21) for classifier cnn, got {size}")
    first, second = filters
    height, width = (_halved(_halved(side - 8) - 6) for side in size)
    trunk = nn.Sequential(*_conv(channels, first, 9, batch_norm), *_conv(first, second, 7, batch_norm))
    return Network(trunk, second, (height, width), nn.Flatten(), second * height * width)


def convnet(
    channels: int, size: tuple[int, int], filters: tuple[int, ...], units: int, batch_norm: bool = True
) -> Network:
    """Blocks of conv 5x5, max pooling by 2, batch norm and ReLU, which are the trunk; then a dense layer with ReLU."""
    layers: list[nn.Module] = []
    height, width = size
    for count in filters:
        layers.append(Conv2d(channels, count, 5, padding=2, bias=not batch_norm))
        layers += [MaxPool2d(2), *_norm(count, batch_norm), nn.ReLU()]
        channels, height, width = count, height // 2, width // 2
    if height < 1 or width < 1:
        raise ValueError(f"filters must be few enough for a {size[0]}x{size[1]} image to be halved, got {filters}")
    head = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, units), nn.ReLU())
    return Network(nn.Sequential(*layers), channels, (height, width), head, units)


def tutorial(
    channels: int,
    size: tuple[int, int],
    filters: tuple[int, int] = (10, 20),
    units: int = 50,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> Network:
    """Twice conv 5x5, max pooling by 2 and ReLU, without padding, which are the trunk; then a dense layer with ReLU.

    Source: https://docs.pytorch.org/tutorials/intermediate/spatial_transformer_tutorial.html. Pooling stands before ReLU, as
    there; `dropout` is its default behind the head and drops channels of the second convolution, behind its pooling, which
    gives the same numbers.

    >>> stn.networks.tutorial(1, (28, 28)).size
    (4, 4)
    """
    if min(size) < 16:
        raise ValueError(f"size must be at least (16, 16) for classifier tutorial, got {size}")
    first, second = filters
    height, width = (((side - 4) // 2 - 4) // 2 for side in size)
    drop = [nn.Dropout2d(dropout)] if dropout else []
    trunk = Unpadded(
        *(Conv2d(channels, first, 5), MaxPool2d(2), *_norm(first, batch_norm), nn.ReLU()),
        *(Conv2d(first, second, 5), MaxPool2d(2), *drop, *_norm(second, batch_norm), nn.ReLU()),
    )
    head = nn.Sequential(nn.Flatten(), nn.Linear(second * height * width, units), nn.ReLU())
    return Network(trunk, second, (height, width), head, units, 0.5)


def _dense(inputs: int, units: int, batch_norm: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm1d(units)] if batch_norm else []
    return [nn.Linear(inputs, units, bias=not batch_norm), *norm, nn.ReLU()]


def _conv(channels: int, filters: int, side: int, batch_norm: bool) -> list[nn.Module]:
    conv = Conv2d(channels, filters, side, bias=not batch_norm)
    return [conv, MaxPool2d(2, ceil_mode=True), *_norm(filters, batch_norm), nn.ReLU()]


def _norm(filters: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(filters)] if batch_norm else []


def _halved(side: int) -> int:
    return -(-side // 2)
