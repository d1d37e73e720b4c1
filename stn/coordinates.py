"""The one coordinate convention.

A point is (x, y), x to the right and y down. In normalised coordinates -1 and +1 are the **outer edges** of the border
pixels (what torch calls `align_corners=False`), so pixel i of n has its centre at (2i + 1 - n) / n. In pixel
coordinates 0 is the left (upper) edge of the first pixel and n the right (lower) edge of the last one, so pixel i has its
centre at i + 0.5. Sizes are (height, width). Angles are radians; a positive one turns the picture anticlockwise on screen.
"""

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
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be (height, width) of at least (1, 1), got {tuple(size)}")
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
    return (points + 1) * _half(points, size)


def from_pixels(points: Float[Tensor, "*any 2"], size: tuple[int, int]) -> Float[Tensor, "*any 2"]:
    """Pixel coordinates of an image of this (height, width) as normalised points; the inverse of `to_pixels`."""
    return points / _half(points, size) - 1


def _centres(count: int, dtype: torch.dtype | None, device: torch.device | None) -> Tensor:
    return (2 * torch.arange(count, dtype=dtype or torch.get_default_dtype(), device=device) + 1 - count) / count


def _half(points: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    return points.new_tensor([width / 2, height / 2])
