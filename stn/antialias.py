"""Several samples per output pixel, where an output pixel covers several input pixels."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.types import Grid, Sampled


def supersample(grid: Grid, size: tuple[int, int], count: int) -> Float[Tensor, "b many w_out 2"]:
    """count x count points for each point of the grid, (B, count * count * height, width, 2), one copy after the other.

    From one output pixel to the next the grid moves by s input pixels. The points are spread evenly over s - 1 of them
    (interpolation itself covers the one that is left), so nothing changes where s is at most 1.

    Args:
        grid: normalised input coordinates.
        size: (height, width) of the input, which makes lengths in the grid lengths in pixels.
        count: points along each axis.
    """
    right, down = _spread(grid, 2, size), _spread(grid, 1, size)
    steps = [(2 * i + 1 - count) / (2 * count) for i in range(count)]
    return torch.cat([grid + i * down + j * right for i in steps for j in steps], dim=1)


def average(sampled: Float[Tensor, "b c many w_out"], count: int) -> Sampled:
    """The mean of the count x count copies that `supersample` put one after the other; of equal ones, themselves."""
    copies = sampled.unflatten(2, (count * count, -1))
    first = copies[:, :, :1]
    return first.squeeze(2) + (copies - first).mean(2)


def _spread(grid: Grid, dim: int, size: tuple[int, int]) -> Tensor:
    """The vector over which to spread the samples along this axis of the output, in normalised input coordinates."""
    if grid.shape[dim] == 1:
        return torch.zeros_like(grid)
    step = _differences(grid, dim)
    height, width = size
    x, y = step.unbind(-1)
    squared = (x * (width / 2)).square() + (y * (height / 2)).square()
    return step * (1 - squared.clamp(min=1).rsqrt()).unsqueeze(-1)


def _differences(grid: Grid, dim: int) -> Tensor:
    """Half the way from the point before to the point after, and at the ends the way to the only neighbour."""
    count = grid.shape[dim]
    steps = grid.narrow(dim, 1, count - 1) - grid.narrow(dim, 0, count - 1)
    inner = (steps.narrow(dim, 0, count - 2) + steps.narrow(dim, 1, count - 2)) / 2
    return torch.cat([steps.narrow(dim, 0, 1), inner, steps.narrow(dim, count - 2, 1)], dim=dim)
