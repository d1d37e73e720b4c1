"""Slow, plain re-statements of the mathematics, to compare with."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def sample_bilinear(images: Tensor, grid: Tensor) -> Tensor:
    """Jaderberg et al. 2015, eq. 5: pixels outside the image count as 0."""
    return sample_by_the_sum(images, grid, lambda d: max(0.0, 1 - abs(d)), 1.0)


def sample_by_the_sum(
    images: Tensor,
    grid: Tensor,
    weight: Callable[[float], float],
    support: float,
    padding: str = "zeros",
    background: Sequence[float] = (0.0,),
) -> Tensor:
    """Jaderberg et al. 2015, eq. 3, in float64, one output value at a time."""
    b, c, height, width = images.shape
    out = torch.zeros(b, c, *grid.shape[1:3], dtype=torch.float64)
    for index in range(b):
        for row in range(grid.shape[1]):
            for column in range(grid.shape[2]):
                x = (float(grid[index, row, column, 0]) * width + width - 1) / 2
                y = (float(grid[index, row, column, 1]) * height + height - 1) / 2
                for n in range(math.floor(y - support), math.ceil(y + support) + 1):
                    for m in range(math.floor(x - support), math.ceil(x + support) + 1):
                        k = weight(x - m) * weight(y - n)
                        out[index, :, row, column] += k * _pixel(images[index], n, m, padding, background)
    return out


def _pixel(image: Tensor, row: int, column: int, padding: str, background: Sequence[float]) -> Tensor:
    _, height, width = image.shape
    if padding == "border":
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    if padding == "reflection":
        row, column = _mirror(row, height), _mirror(column, width)
    if 0 <= row < height and 0 <= column < width:
        return image[:, row, column].double()
    return torch.tensor(list(background), dtype=torch.float64).expand(len(image))


def _mirror(index: int, count: int) -> int:
    while not 0 <= index < count:
        index = -1 - index if index < 0 else 2 * count - 1 - index
    return index


def integer(d: float) -> float:
    return 1.0 if -0.5 <= d < 0.5 else 0.0


def cubic(a: float) -> Callable[[float], float]:
    def weight(d: float) -> float:
        d = abs(d)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    return weight


def lanczos3(d: float) -> float:
    if d == 0:
        return 1.0
    return 3 * math.sin(math.pi * d) * math.sin(math.pi * d / 3) / (math.pi * d) ** 2 if abs(d) < 3 else 0.0
