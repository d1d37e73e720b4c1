"""The one coordinate convention.

A point is (x, y), x to the right and y down. In normalised coordinates -1 and +1 are the **outer edges** of the border
pixels (what torch calls `align_corners=False`), so pixel i of n has its centre at (2i + 1 - n) / n. In pixel
coordinates 0 is the left (upper) edge of the first pixel and n the right (lower) edge of the last one, so pixel i has its
centre at i + 0.5. Sizes are (height, width). Angles are radians; a positive one turns the picture anticlockwise on screen.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def lattice(
    size: tuple[int, int], *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Float[Tensor, "n 2"]:
    """The pixel centres of an image of this (height, width), row by row, in normalised coordinates.

    >>> lattice((1, 2))
    tensor([[-0.5000,  0.0000],
            [ 0.5000,  0.0000]])
    """
    height, width = check_size(size)
    y, x = torch.meshgrid(
        _centres(height, dtype, device),
        _centres(width, dtype, device),
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1).flatten(0, 1)  # (N, 2)


def to_pixels(points: Float[Tensor, "*any 2"], size: tuple[int, int]) -> Float[Tensor, "*any 2"]:
    """Normalised points in pixel coordinates of an image of this (height, width).

    >>> to_pixels(torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]), (28, 40))
    tensor([[ 0.,  0.],
            [20., 14.],
            [40., 28.]])
    """
    _check_points(points)
    return (points + 1) * _half(points, size)


def from_pixels(points: Float[Tensor, "*any 2"], size: tuple[int, int]) -> Float[Tensor, "*any 2"]:
    """Pixel coordinates of an image of this (height, width) as normalised points; the inverse of `to_pixels`."""
    _check_points(points)
    return points / _half(points, size) - 1


def check_size(size: tuple[int, int], name: str = "size", least: int = 1) -> tuple[int, int]:
    """The size itself, or a ValueError that says what it must be."""
    sides = tuple(size) if isinstance(size, Sequence) else ()
    if len(sides) != 2 or not all(type(side) is int and side >= least for side in sides):
        what = "(rows, columns)" if name == "lattice" else "(height, width)"
        raise ValueError(f"{name} must be {what} of at least ({least}, {least}), got {size}")
    return (sides[0], sides[1])


def _check_points(points: Tensor) -> None:
    if points.ndim < 1 or points.shape[-1] != 2:
        raise ValueError(f"points must have shape (..., 2), got {tuple(points.shape)}")


def _centres(count: int, dtype: torch.dtype | None, device: torch.device | None) -> Tensor:
    return (2 * torch.arange(count, dtype=dtype or torch.get_default_dtype(), device=device) + 1 - count) / count


def _half(points: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = check_size(size)
    return points.new_tensor([width / 2, height / 2])
