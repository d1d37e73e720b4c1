"""The layer: localize, make the grid, sample."""

from typing import NamedTuple

import torch
from torch import nn

from stn.choice import choose
from stn.grid import sampling_grid
from stn.sampler import sample
from stn.transforms import TRANSFORMS, Transform
from stn.types import Grid, Images, Sampled, Theta


class Transformed(NamedTuple):
    """What a spatial transformer gives."""

    images: Sampled
    """The images, sampled at the grid."""
    theta: Theta
    """The parameters that the localization net predicted, float32 or wider."""
    grid: Grid
    """The input point of every output pixel."""


class SpatialTransformer(nn.Module):
    """Straightens its input: `localization` predicts theta, theta places the grid, the images are sampled there.

    It stands anywhere in a network, on any channel count. theta and the grid are float32 under any autocast.

    Args:
        localization: any module that maps (B, C, H, W) to theta (B, P).
        transform: a transform, or its name in `stn.TRANSFORMS`.
        size: (height, width) of the output.

    Source: Jaderberg et al. 2015.

    >>> localization = stn.ConvLocalization(1, (28, 28), stn.Affine())
    >>> layer = stn.SpatialTransformer(localization, "affine", size=(20, 20))
    >>> images, theta, grid = layer(torch.rand(3, 1, 28, 28))
    >>> images.shape, theta.shape, grid.shape
    (torch.Size([3, 1, 20, 20]), torch.Size([3, 6]), torch.Size([3, 20, 20, 2]))
    """

    def __init__(self, localization: nn.Module, transform: str | Transform, size: tuple[int, int]) -> None:
        super().__init__()
        self.localization = localization
        self.transform = choose(TRANSFORMS, transform, "transform")() if isinstance(transform, str) else transform
        self.size = size

    def forward(self, images: Images) -> Transformed:
        theta = self.localization(images)
        with torch.autocast(images.device.type, enabled=False):
            theta = theta.to(torch.promote_types(theta.dtype, torch.float32))
            grid = sampling_grid(self.transform, theta, self.size)  # (B, H, W, 2)
            return Transformed(sample(images, grid), theta, grid)
