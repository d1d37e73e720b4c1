"""Interpolation kernels: how much of a pixel a point gets, by its distance.

The value at a point (x, y) is the sum over all pixels of U[n, m] k(x - m) k(y - n), the same for every channel
(Jaderberg et al. 2015, eq. 3), x, y, m and n counted in pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Kernel:
    """A separable kernel of anybody's making.

    >>> box = stn.Kernel(lambda d: torch.full_like(d, 0.25), support=2.0)  # the mean of the 4 x 4 nearest pixels
    >>> stn.sample(torch.eye(4)[None, None], torch.zeros(1, 1, 1, 2), kernel=box)
    tensor([[[[0.2500]]]])
    """

    weight: Callable[[Tensor], Tensor]
    """The weight of a pixel, by x - m: the point's distance from the pixel's centre in pixels, with its sign."""
    support: float
    """The weight is 0 where the distance is this or more; at most 16. One point reads ceil(2 support) pixels a side."""
    normalised: bool = False
    """Divide by the sum of the weights, so that a constant image stays constant; for kernels that do not sum to 1."""

    def __post_init__(self) -> None:
        if not callable(self.weight):
            raise ValueError(f"weight must be a function of the distance, got {self.weight!r}")
        if not 0 < self.support <= 16:
            raise ValueError(f"support must be above 0 and at most 16 pixels, got {self.support}")

    @property
    def taps(self) -> int:
        """Pixels that one point reads along one axis."""
        return math.ceil(2 * self.support)


def integer(distance: Tensor) -> Tensor:
    """1 for the nearest pixel, delta(floor(x + 0.5) - m); halfway between two, the right (lower) one."""
    inside = ((distance >= -0.5) & (distance < 0.5)).to(distance.dtype)
    return inside + 0 * distance  # a derivative, which is 0


def bilinear(distance: Tensor) -> Tensor:
    """max(0, 1 - |d|)."""
    return (1 - distance.abs()).clamp(min=0)


def cubic_convolution(a: float) -> Kernel:
    """Piecewise cubic with slope a at distance 1; smooth, overshoots at edges.

    a = -0.5 reproduces parabolas (Keys 1981; Catmull-Rom, Pillow's bicubic), a = -0.75 is sharper (torch, OpenCV).
    """

    def weight(distance: Tensor) -> Tensor:
        d = distance.abs()
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = a * (((d - 5) * d + 8) * d - 4)
        return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))

    return Kernel(weight, support=2.0)


def lanczos(lobes: int) -> Kernel:
    """sinc(d) sinc(d / lobes): the sharpest of these, with ringing; its weights are divided by their sum."""

    def weight(distance: Tensor) -> Tensor:
        return torch.where(distance.abs() < lobes, _sinc(distance) * torch.sinc(distance / lobes), 0.0)

    return Kernel(weight, support=float(lobes), normalised=True)


def _sinc(distance: Tensor) -> Tensor:
    """sin(pi d) / (pi d), exactly 0 at whole numbers: sin(pi d) is (-1)^n sin(pi (d - n)) with n = round(d)."""
    nearest = distance.detach().round()
    sine = (1 - 2 * nearest.remainder(2)) * torch.sin(math.pi * (distance - nearest))
    return torch.where(distance == 0, 1.0, sine / (math.pi * torch.where(distance == 0, 1.0, distance)))


KERNELS: dict[str, Kernel] = {
    "integer": Kernel(integer, support=0.5),
    "bilinear": Kernel(bilinear, support=1.0),
    "bicubic": cubic_convolution(-0.75),
    "catmull_rom": cubic_convolution(-0.5),
    "lanczos3": lanczos(3),
}
