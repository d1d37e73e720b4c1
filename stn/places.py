"""The points that are sampled: those of a grid, or straight from theta."""

from typing import NamedTuple

import torch
from torch import Tensor

from stn.constants import pair
from stn.grid import GridGenerator


class Places(NamedTuple):
    """One input point for each pixel of the output: those of a grid, or those where a generator puts theta, or both.

    From theta they come for less work, because what is done to all points can be done to theta's coefficients.
    """

    dtype: torch.dtype
    """Of the points."""
    size: tuple[int, int]
    """(h, w) of the output."""
    grid: Tensor | None
    """(B, h, w, 2)."""
    theta: Tensor | None = None
    """(B, P)."""
    generator: GridGenerator | None = None


def given(grid: Tensor) -> Places:
    """The points of a grid."""
    return Places(grid.dtype, (grid.shape[1], grid.shape[2]), grid)


def predicted(generator: GridGenerator, theta: Tensor, grid: Tensor | None = None) -> Places:
    """The points where the generator puts theta; its grid is used where it is there."""
    return Places(torch.promote_types(theta.dtype, torch.float32), generator.size, grid, theta, generator)


def grid_of(places: Places) -> Tensor:
    """The points as a grid (B, h, w, 2)."""
    if places.grid is not None:
        return places.grid
    assert places.generator is not None
    assert places.theta is not None
    return places.generator(places.theta)


def points_at(places: Places, dtype: torch.dtype) -> Tensor:
    """The points in normalised input coordinates, as planes (B, 2, h, w) of x and of y."""
    return grid_of(places).to(dtype).permute(0, 3, 1, 2)


def rounded_at(places: Places, dtype: torch.dtype, scale: tuple[float, float], shift: tuple[float, float]) -> Tensor:
    """scale p + shift for each point p, rounded to multiples of 2^-22 (in float32; of 2^-51 in float64): planes again."""
    if places.theta is None or places.generator is None:
        points = points_at(places, dtype)
        factor, term = pair(points, *scale), pair(points, shift[0] + 3, shift[1] + 3)
        return (points * factor).add_(term).sub_(3)
    theta = places.theta.to(dtype)
    generator = places.generator
    return generator.transform.place_rounded(theta, generator.get(theta), generator.size, scale, shift)
