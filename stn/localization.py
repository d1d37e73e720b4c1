"""Localization nets: images in, theta out, starting at the identity.

Any module that gives (B, P) can stand in their place.
"""

import torch
from torch import nn

from stn.transforms import Transform
from stn.types import Images, Theta


class ConvLocalization(nn.Module):
    """Average pooling by 2, conv 5x5, max pooling, conv 5x5, dense, theta.

    After Jaderberg et al. 2015, A.2, with the convolutions padded, so that any image of at least 4x4 passes, and with
    pooling before ReLU, which gives the same numbers for a quarter of the work.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], transform: Transform, filters: int = 16, units: int = 32
    ) -> None:
        super().__init__()
        height, width = size
        if height < 4 or width < 4:
            raise ValueError(f"size must be at least (4, 4) for a convolutional localization net, got {tuple(size)}")
        self.features = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(channels, filters, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 5, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(filters * (height // 4) * (width // 4), units),
            nn.ReLU(),
        )
        self.theta = theta_layer(units, transform)

    def forward(self, images: Images) -> Theta:
        return self.theta(self.features(images))


class DenseLocalization(nn.Module):
    """Two dense layers and theta; the recipe of Jaderberg et al. 2015, A.2, for fully connected networks."""

    def __init__(self, channels: int, size: tuple[int, int], transform: Transform, units: int = 32) -> None:
        super().__init__()
        height, width = size
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * height * width, units),
            nn.ReLU(),
            nn.Linear(units, units),
            nn.ReLU(),
        )
        self.theta = theta_layer(units, transform)

    def forward(self, images: Images) -> Theta:
        return self.theta(self.features(images))


LOCALIZATIONS: dict[str, type[ConvLocalization] | type[DenseLocalization]] = {
    "conv": ConvLocalization,
    "dense": DenseLocalization,
}


def theta_layer(features: int, transform: Transform) -> nn.Linear:
    """The last layer of a localization net: zero weights and the identity theta as bias."""
    layer = nn.Linear(features, len(transform.parameter_names))
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(transform.identity())
    return layer
