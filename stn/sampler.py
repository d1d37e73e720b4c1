"""Bilinear sampling of images at the points of a grid."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stn.types import Grid, Images, Sampled


def sample(images: Images, grid: Grid) -> Sampled:
    """The images' values at the points of the grid, interpolated bilinearly; zero outside the image.

    A point on a pixel's centre gives that pixel's value to the bit, for every image size, so the identity grid returns
    the images unchanged. Positions are rounded to a multiple of 2^-23 of the padded image's extent in float32 (3e-5
    pixels for 224 pixels, which are padded to 257), 2^-52 in float64.

    Args:
        images: any channel count; float16 and bfloat16 are sampled in the grid's precision and
            returned in their own.
        grid: normalised (x, y) input coordinates, float32 or float64; see `stn.coordinates`.

    Returns:
        (B, C, height, width) with the grid's height and width and the images' dtype.

    Source: Jaderberg et al. 2015, eq. 5.

    >>> sample(torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.0, 0.0], [0.5, 0.0]]]]))
    tensor([[[[0.5000, 1.0000]]]])
    """
    if len(images) != len(grid):
        raise ValueError(f"images and grid must have the same batch size, got {len(images)} and {len(grid)}")
    height, width = images.shape[-2:]
    if height < 1 or width < 1:
        raise ValueError(f"images must have at least one pixel, got shape {tuple(images.shape)}")
    # torch's kernel turns a coordinate back into a pixel by (g + 1) * (n - 1) / 2. That is exact when n - 1 is a power of
    # two and for no other size, so the image is padded with the zeros that lie outside it anyway.
    padded_height, padded_width = _power_of_two_plus_one(height), _power_of_two_plus_one(width)
    dtype = torch.promote_types(images.dtype, grid.dtype)
    padded = F.pad(images.to(dtype), (0, padded_width - width, 0, padded_height - height))
    aligned = _align(grid.to(dtype), (width, height), (padded_width, padded_height))
    return F.grid_sample(padded, aligned, mode="bilinear", padding_mode="zeros", align_corners=True).to(images.dtype)


def _align(grid: Tensor, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """The grid in coordinates whose -1 and +1 are the centres of the padded image's border pixels.

    g' = (2 px / (m - 1)) - 1 with px = (g n + n - 1) / 2, for n pixels padded to m. Adding 3 and taking it away again
    rounds g' to a multiple of 2^-22 (in float32), which removes the rounding error that g carries: up to 2 units of 2^-25.
    """
    scale = grid.new_tensor([n / (m - 1) for n, m in zip(size, padded, strict=True)])
    shift = grid.new_tensor([(n - 1) / (m - 1) - 1 + 3 for n, m in zip(size, padded, strict=True)])
    return torch.addcmul(shift, grid, scale) - 3


def _power_of_two_plus_one(least: int) -> int:
    """The smallest 2^k + 1 that is at least this; 2 for one pixel, because 1 has no extent to divide by."""
    return 2 ** max(least - 2, 0).bit_length() + 1
