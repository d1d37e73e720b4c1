"""Images, positions and matrices in the units of the programs we compare with."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def random_image(*shape: int, dtype: type = np.float64) -> NDArray[Any]:
    return np.random.default_rng(0).random(shape).astype(dtype)


def random_positions(size: tuple[int, int], output: tuple[int, int], reach: float = 1.3) -> NDArray[np.float64]:
    """x and y in pixels, anywhere in a rectangle `reach` times the image's and centred on it: (2, height, width)."""
    height, width = size
    unit = np.random.default_rng(1).uniform(-reach, reach, (2, *output))
    return (unit * np.array([width, height])[:, None, None] + np.array([width, height])[:, None, None] - 1) / 2


def to_grid(x: NDArray[np.float64], y: NDArray[np.float64], size: tuple[int, int]) -> Tensor:
    """Pixel positions, 0 being the centre of the first pixel, as a grid of one image of this (height, width)."""
    height, width = size
    return torch.from_numpy(np.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], axis=-1))[None]


def theta_of(matrix: NDArray[np.float64], size: tuple[int, int], output: tuple[int, int]) -> Tensor:
    """theta of a matrix (2, 3) or (3, 3) that maps output pixels to input pixels."""
    square = np.eye(3)
    square[: len(matrix)] = matrix
    normalised = _normalisation(size) @ square @ np.linalg.inv(_normalisation(output))
    normalised = normalised / normalised[2, 2]
    return torch.from_numpy(normalised.flatten()[: 6 if len(matrix) == 2 else 8])[None]


def _normalisation(size: tuple[int, int]) -> NDArray[np.float64]:
    height, width = size
    return np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
