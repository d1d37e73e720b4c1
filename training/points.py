"""The points at which distortions sample pictures, those of every image computed by itself.

`stn.warp` multiplies a whole batch with one basis; how that is rounded depends on how many images there are, in the last
bits of float32. Here an image gets the same points to the bit in every batch.
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from stn import GridGenerator, ThinPlateSpline
from stn.transforms.lattice import axes
from stn.transforms.product import divide
from stn.types import Grid, Matrix, Theta


def points_of(matrix: Matrix | None, spline: Theta | None, size: tuple[int, int]) -> Grid:
    """Where each pixel of an output of this (height, width) is sampled: it goes through the spline, then the matrix.

    Args:
        matrix: affine, or a homography up to a factor; the identity where it is None.
        spline: theta of a thin-plate spline of 4x4 points; the identity where it is None, for one of them only.
    """
    if spline is None:
        assert matrix is not None, "one of both moves points"
        return _map_lattice(matrix, size).permute(0, 2, 3, 1)
    generator = _generator("thin_plate_spline", size, spline.dtype, spline.device)
    basis = generator.get(spline).expand(len(spline), -1, -1)  # so that there is one product for each image
    points = generator.transform.place(spline, basis).unflatten(2, size)
    return (points if matrix is None else _map(matrix, points)).permute(0, 2, 3, 1)


@lru_cache(maxsize=16)
def control_points(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "k 2"]:
    """Where the spline's 4x4 points are; kept, because each copy to a GPU would wait for it."""
    return ThinPlateSpline().control_points().to(device, dtype)


def _map_lattice(matrix: Matrix, size: tuple[int, int]) -> Float[Tensor, "b 2 h w"]:
    """`_map` of all pixel centres: a term for the column and one for the row, added."""
    x, y = axes(_generator("affine", size, matrix.dtype, matrix.device).get(matrix), size)
    columns = matrix[:, :, :1] * x  # (B, 2 or 3, w)
    rows = matrix[:, :, 1:2] * y + matrix[:, :, 2:]  # (B, 2 or 3, h)
    return _divided(columns.unsqueeze(2) + rows.unsqueeze(3))


def _map(matrix: Matrix, points: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 2 h w"]:
    x, y = points.unsqueeze(2).unbind(1)  # (B, 1, h, w)
    of_x, of_y, rest = matrix[..., None, None].unbind(2)  # (B, 2 or 3, 1, 1)
    return _divided(of_x * x + of_y * y + rest)


def _divided(rows: Float[Tensor, "b r h w"]) -> Float[Tensor, "b 2 h w"]:
    return rows if rows.shape[1] == 2 else divide(rows.flatten(2)).unflatten(2, rows.shape[2:])


@lru_cache(maxsize=16)
def _generator(transform: str, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> GridGenerator:
    """The transform over all pixels of an output; making it solves a linear system, and so it is kept."""
    return GridGenerator(transform, size).to(device, dtype)
