"""Sampling of images at the points of a grid."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stn.antialias import average, supersample
from stn.choice import choose
from stn.finite import check_finite
from stn.grid import GridGenerator
from stn.interpolation import interpolate
from stn.kernels import KERNELS, Kernel
from stn.padding import PADDINGS
from stn.places import Places, given, grid_of, predicted
from stn.transforms.transform import Transform, check_theta
from stn.types import Grid, Images, Sampled, Theta


def sample(
    images: Images,
    grid: Grid,
    kernel: str | Kernel = "bilinear",
    padding: str = "zeros",
    background: Sequence[float] | None = None,
    antialias: int = 1,
) -> Sampled:
    """The images' values at the points of the grid.

    A point on a pixel's centre gives that pixel's value to the bit, for every image size, unless the image has far more
    pixels than the grid has points; so the identity grid returns the images unchanged (for every kernel here). Positions
    are rounded to multiples of 2^-23 of the image's extent, itself rounded up to a power of two: in float32 to 3e-5 pixels
    in an image of 224; in float64 it is 2^-52. An image with far more pixels than the grid has points is not copied, and
    positions are then rounded as torch rounds them.

    Args:
        images: any channel count; float16 and bfloat16 are sampled in the grid's precision and returned in their own.
        grid: normalised (x, y) input coordinates, float32 or float64; see `stn.coordinates`.
        kernel: `integer` (nearest, ties to the right and down), `bilinear`, `bicubic` (a = -0.75), `catmull_rom`
            (bicubic with a = -0.5), `lanczos3`, or any `stn.Kernel`.
        padding: what lies outside the image: `zeros`, `border` (the nearest pixel), `reflection` (the image mirrored at
            its edges) or `constant` (the background).
        background: for `constant`: one value for each channel, or one for all.
        antialias: samples per output pixel along each axis. Where the grid zooms out they are spread over the input that
            an output pixel covers, and averaged; where it does not, they change nothing.

    Returns:
        (B, C, height, width) with the grid's height and width and the images' dtype. It has first and second derivatives
        with respect to images and grid; at kinks of the kernel (pixel centres, for bilinear) those of one side.

    Raises:
        ValueError: shapes that do not fit, an unknown name, or a point that is not finite.

    Source: Jaderberg et al. 2015, eq. 3 to 5.

    >>> sample(torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.0, 0.0], [0.5, 0.0]]]]))
    tensor([[[[0.5000, 1.0000]]]])
    """
    check_sampling(kernel, padding, background, antialias)
    _check_shapes(images, grid, background)
    return sample_at(images, given(check_finite(grid, "grid")), kernel, padding, background, antialias)


def warp(
    images: Images,
    theta: Theta,
    generator: GridGenerator,
    kernel: str | Kernel = "bilinear",
    padding: str = "zeros",
    background: Sequence[float] | None = None,
    antialias: int = 1,
) -> Sampled:
    """The images as theta transforms them: `sample(images, generator(theta))` up to rounding, and faster.

    Args:
        images: what is sampled.
        theta: one row per image; finite, or it is a ValueError.
        generator: of the transform and the output size.
        kernel: how to interpolate; this and what follows is as for `sample`.

    >>> generator = stn.GridGenerator("attention", (28, 28))
    >>> warp(torch.rand(5, 3, 56, 56), torch.tensor([[0.5, 0.0, 0.0]]).expand(5, -1), generator).shape
    torch.Size([5, 3, 28, 28])
    """
    check_sampling(kernel, padding, background, antialias)
    check_images(images, background)
    if isinstance(generator, str | Transform):
        raise ValueError(f"generator must be a GridGenerator, of a transform and the output size, got {generator!r}")
    if images.shape[:1] != theta.shape[:1]:
        check_theta(generator.transform, theta)
        raise ValueError(f"images and theta must have the same batch size, got {len(images)} and {len(theta)}")
    places = predicted(generator, check_finite(theta, "theta"))
    return sample_at(images, places, kernel, padding, background, antialias)


def sample_at(
    images: Images,
    places: Places,
    kernel: str | Kernel,
    padding: str,
    background: Sequence[float] | None,
    antialias: int,
) -> Sampled:
    """The images at these places, for arguments that are known to be right."""
    if antialias == 1:
        return interpolate(images, places, kernel, padding, background)
    finer = supersample(grid_of(places), (images.shape[2], images.shape[3]), antialias)
    return average(interpolate(images, given(finer), kernel, padding, background), antialias)


def check_sampling(kernel: str | Kernel, padding: str, background: Sequence[float] | None, antialias: int) -> None:
    """A ValueError that names the argument, the rule and the value, unless these settings go together."""
    if isinstance(kernel, str):
        choose(KERNELS, kernel, "kernel")
    elif not isinstance(kernel, Kernel):
        raise ValueError(f"kernel must be a name in stn.KERNELS or a stn.Kernel, got {kernel!r}")
    choose(PADDINGS, padding, "padding")
    if (padding == "constant") != (background is not None):
        raise ValueError(f"background must be given for padding 'constant' and for no other, got {background}")
    if background is not None and not _is_background(background):
        raise ValueError(f"background must be finite numbers, one for each channel or one for all, got {background!r}")
    if type(antialias) is not int or not 1 <= antialias <= 16:
        raise ValueError(f"antialias must be a whole number in [1, 16], got {antialias}")


def _is_background(values: Sequence[float]) -> bool:
    return isinstance(values, Sequence) and bool(values) and all(map(_is_finite_number, values))


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


PRECISE = (torch.float32, torch.float64)


def _check_shapes(images: Tensor, grid: Tensor, background: Sequence[float] | None) -> None:
    check_images(images, background)
    if grid.ndim != 4 or grid.shape[-1] != 2 or 0 in grid.shape[1:]:
        raise ValueError(f"grid must have shape (B, height, width, 2) and at least one point, got {tuple(grid.shape)}")
    if grid.dtype not in PRECISE:
        raise ValueError(f"grid must be float32 or float64, got {grid.dtype}")
    if images.shape[0] != grid.shape[0]:
        raise ValueError(f"images and grid must have the same batch size, got {len(images)} and {len(grid)}")
    if images.device != grid.device:
        raise ValueError(f"images and grid must be on one device, got {images.device} and {grid.device}")


def check_images(images: Tensor, background: Sequence[float] | None) -> None:
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(
            f"images must have shape (B, C, H, W) with at least one pixel, got shape {tuple(images.shape)}"
        )
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point, got {images.dtype}")
    if background is not None and len(background) not in (1, images.shape[1]):
        raise ValueError(f"background must have 1 or {images.shape[1]} values, got {len(background)}")
