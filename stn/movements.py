"""Known transforms of a whole image, each with the sizes at which a network is tried.

A movement is a homography from points of the moved image to points of the image, as a transform is; it is made in pixels,
so that a turned square stays one on any image, and told in normalised coordinates.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stn.choice import choose
from stn.coordinates import check_size


class Movement(NamedTuple):
    """One kind of movement."""

    name: str
    unit: str
    """Of its sizes."""
    still: float
    """The size that moves nothing."""
    sizes: tuple[float, ...]
    """At which it is tried, ascending; `still` is among them."""
    matrix: Callable[[float, float], list[list[float]]]
    """From a size and the image's height over its width to the rows of the homography in normalised coordinates."""
    bounds: tuple[float, float]
    """Between which sizes must lie."""

    def matrices(self, size: tuple[int, int]) -> Float[Tensor, "k 3 3"]:
        """The homographies of all sizes, for images of this (height, width), in float64 on the CPU."""
        height, width = check_size(size)
        rows = [self.matrix(each, height / width) for each in self.sizes]
        return torch.tensor(rows, dtype=torch.float64, device="cpu")


def movement(name: str, sizes: Sequence[float | int] | None = None) -> Movement:
    """The movement of this name in `stn.invariance.MOVEMENTS`, at other sizes where they are given.

    >>> stn.invariance.movement("rotation", [-30, 0, 30]).sizes
    (-30.0, 0.0, 30.0)
    """
    known = choose(MOVEMENTS, name, "movement")
    return known if sizes is None else check_movement(known._replace(sizes=tuple(map(float, sizes))))


def check_movement(asked: Movement) -> Movement:
    """The movement itself, or a ValueError that says what its sizes must be."""
    sizes, (low, high) = asked.sizes, asked.bounds
    if asked.still not in sizes or list(sizes) != sorted(set(sizes)) or not low <= sizes[0] <= sizes[-1] <= high:
        rule = (
            f"ascend from {low:g} or more to {high:g} or less and have {asked.still:g}, which moves nothing, among them"
        )
        raise ValueError(f"sizes of {asked.name} must {rule}, got {sizes}")
    return asked


def _rotation(degrees: float, aspect: float) -> list[list[float]]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [[cos, -sin * aspect, 0.0], [sin / aspect, cos, 0.0], _LAST]


def _scale(factor: float, _: float) -> list[list[float]]:
    return [[1 / factor, 0.0, 0.0], [0.0, 1 / factor, 0.0], _LAST]


def _shift_x(percent: float, _: float) -> list[list[float]]:
    return [[1.0, 0.0, -percent / 50], [0.0, 1.0, 0.0], _LAST]  # the image is 2 wide


def _shift_y(percent: float, _: float) -> list[list[float]]:
    return [[1.0, 0.0, 0.0], [0.0, 1.0, -percent / 50], _LAST]


def _shear(degrees: float, aspect: float) -> list[list[float]]:
    return [[1.0, math.tan(math.radians(degrees)) * aspect, 0.0], [0.0, 1.0, 0.0], _LAST]


def _perspective(percent: float, _: float) -> list[list[float]]:
    """With w = 1 - |s| / 2 + y s / 2, which is 1 at the edge that stays as long as it is and 1 - |s| at the other."""
    half = percent / 200
    middle = 1 - abs(half)
    return [[1.0, 0.0, 0.0], [0.0, middle, half], [0.0, half, middle]]


_LAST = [0.0, 0.0, 1.0]


def _steps(last: int, step: int) -> tuple[float, ...]:
    """From -last to last."""
    return tuple(map(float, range(-last, last + 1, step)))


_SCALES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
_WHOLE = (-100.0, 100.0)

MOVEMENTS: dict[str, Movement] = {
    "rotation": Movement("rotation", "degrees", 0.0, _steps(180, 10), _rotation, (-360.0, 360.0)),
    "scale": Movement("scale", "times the size", 1.0, _SCALES, _scale, (0.05, 20.0)),
    "shift_x": Movement("shift_x", "% of the width", 0.0, _steps(40, 5), _shift_x, _WHOLE),
    "shift_y": Movement("shift_y", "% of the height", 0.0, _steps(40, 5), _shift_y, _WHOLE),
    "shear": Movement("shear", "degrees", 0.0, _steps(50, 10), _shear, (-80.0, 80.0)),
    "perspective": Movement("perspective", "% of an edge", 0.0, _steps(60, 10), _perspective, (-90.0, 90.0)),
}
"""By name. The picture is turned anticlockwise on screen; made larger; moved right; moved down; leant to the right, its
rows kept; seen in perspective, its upper edge made shorter, or for negative sizes its lower one."""
