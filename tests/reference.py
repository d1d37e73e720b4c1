"""Slow, plain re-statements of the mathematics, to compare with."""

import math

import torch
from torch import Tensor


def sample_bilinear(images: Tensor, grid: Tensor) -> Tensor:
    """Jaderberg et al. 2015, eq. 5, in float64, one output value at a time; pixels outside the image count as 0."""
    b, c, height, width = images.shape
    out = torch.zeros(b, c, *grid.shape[1:3], dtype=torch.float64)
    for index in range(b):
        for row in range(grid.shape[1]):
            for column in range(grid.shape[2]):
                x = (float(grid[index, row, column, 0]) * width + width - 1) / 2
                y = (float(grid[index, row, column, 1]) * height + height - 1) / 2
                for n in range(max(0, math.floor(y)), min(height, math.floor(y) + 2)):
                    for m in range(max(0, math.floor(x)), min(width, math.floor(x) + 2)):
                        weight = max(0.0, 1 - abs(x - m)) * max(0.0, 1 - abs(y - n))
                        out[index, :, row, column] += weight * images[index, :, n, m].double()
    return out
