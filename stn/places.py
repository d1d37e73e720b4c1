"""The points that are sampled: those of a grid, or straight from theta."""

from typing import NamedTuple

import torch
from torch import Tensor

from stn.constants import pair
from stn.grid import GridGenerator


class Places(NamedTuple):
    """One input point for each pixel of the output: those of a grid, or those where a generator puts theta.

    The second is the same as the generator's grid for less work, because what is done to all points is done to theta.
    """

    grid: Tensor | None
    """(B, h, w, 2)."""
    theta: Tensor | None
    """(B, P)."""
    generator: GridGenerator | None
    dtype: torch.dtype
    """Of the points."""
    size: tuple[int, int]
    """(h, w)."""


def given(grid: Tensor) -> Places:
    """The points of a grid."""
    return Places(grid, None, None, grid.dtype, (grid.shape[1], grid.shape[2]))


def predicted(generator: GridGenerator, theta: Tensor) -> Places:
    """The points where the generator puts theta."""
    return Places(None, theta, generator, torch.promote_types(theta.dtype, torch.float32), generator.size)


def points_at(places: Places, dtype: torch.dtype) -> Tensor:
    """The points in normalised input coordinates, as planes (B, 2, h, w) of x and of y."""
    if places.grid is not None:
        return places.grid.to(dtype).permute(0, 3, 1, 2)
    assert places.generator is not None and places.theta is not None
    theta = places.theta.to(dtype)
    return places.generator.transform.place(theta, places.generator.get(theta)).unflatten(2, places.size)


def rounded_at(places: Places, dtype: torch.dtype, scale: tuple[float, float], shift: tuple[float, float]) -> Tensor:
    """scale p + shift for each point p, rounded to multiples of 2^-22 (in float32; of 2^-51 in float64): planes again."""
    if places.grid is not None:
        points = points_at(places, dtype)
        factor, term = pair(points, *scale), pair(points, shift[0] + 3, shift[1] + 3)
        return (points * factor).add_(term).sub_(3)
    assert places.generator is not None and places.theta is not None
    theta = places.theta.to(dtype)
    planes = places.generator.transform.place_rounded(theta, places.generator.get(theta), scale, shift)
    return planes.unflatten(2, places.size)
