"""Where a transformer may stand in a network, for networks of equally many parameters.

Source: Finnveden, Jansson and Lindeberg 2020, Understanding when spatial transformer networks do not support invariance, and
what to do about it.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import nn

from stn import (
    Affine,
    Classified,
    ConvLocalization,
    InputConfig,
    ModelConfig,
    Normalise,
    SpatialTransformer,
    build_model,
)
from stn.classifiers import class_layer
from stn.networks import convnet
from stn.types import Images
from stn.widths import nearest_width
from training.config import DistortionConfig

Placement = Literal["none", "input", "input-twice", "shared", "depth-1", "depth-2"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)

MOVED: dict[str, DistortionConfig] = {
    "rotation": DistortionConfig(rotation=60.0, size=(32, 32)),
    "shift_x": DistortionConfig(translation=True, scale=(0.8, 0.8), size=(32, 32)),
    "scale": DistortionConfig(scale=(0.5, 1.5), size=(32, 32)),
}
"""What the pictures are trained with, by the movement that is then measured; shifts go along both axes, by up to 15 %."""

PARAMETERS = 44_000
FILTERS, UNITS = (8, 8), 8
"""Of the classifier behind a transformer: a larger one learns moved digits by itself, and nothing is left to move theta."""
_BLOCK = 4
"""Layers of the trunk that make a block: convolution, pooling, batch norm, ReLU."""


class Placed(nn.Module):
    """A classifier whose transformer transforms the maps of its first blocks instead of the image.

    Args:
        depth: how many blocks stand before the transformer.
        images: what the network takes.
        classes: how many there are.
        units: width of the dense layer of its localization net.
    """

    def __init__(self, depth: int, images: InputConfig, classes: int, units: int) -> None:
        super().__init__()
        network = convnet(images.channels, images.size, FILTERS, UNITS)
        assert isinstance(network.trunk, nn.Sequential)
        size = (images.height // 2**depth, images.width // 2**depth)
        localization = ConvLocalization(FILTERS[depth - 1], size, Affine(), units=units)
        self.before = nn.Sequential(Normalise(images.mean, images.std), *network.trunk[: _BLOCK * depth])
        self.transformer = SpatialTransformer(localization, "affine", size)
        self.after = nn.Sequential(*network.trunk[_BLOCK * depth :], network.head, class_layer(UNITS, classes))

    def forward(self, images: Images) -> Classified:
        transformed = self.transformer(self.before(images))
        return Classified(self.after(transformed.images), transformed)


def build_placed(placement: Placement, images: InputConfig, classes: int) -> nn.Module:
    """A fresh network with its affine transformer there.

    Its localization net, or without one its classifier, has the dense layer that brings it nearest to the common size.
    """

    def count(units: int) -> int:
        with torch.device("meta"):
            return sum(values.numel() for values in _build(placement, images, classes, units).parameters())

    return _build(placement, images, classes, nearest_width(count, PARAMETERS, "units"))


def _build(placement: Placement, images: InputConfig, classes: int, units: int) -> nn.Module:
    depth = {"depth-1": 1, "depth-2": 2}.get(placement)
    if depth is not None:
        return Placed(depth, images, classes, units)
    make = _CONFIGS[placement]
    return build_model(make(units), images, classes)


_CONFIGS: dict[str, Callable[[int], ModelConfig]] = {
    "none": lambda units: ModelConfig(transform="none", filters=FILTERS, units=units),
    "input": lambda units: ModelConfig(filters=FILTERS, units=UNITS, localization_units=units),
    "input-twice": lambda units: ModelConfig(filters=FILTERS, units=UNITS, localization_units=units, iterations=2),
    "shared": lambda units: ModelConfig(localization="shared", filters=FILTERS, units=UNITS, localization_units=units),
}
