"""Rounding that comes out the same on every machine.

Instruction sets and mathematical libraries differ in the last bits of float64, by 1e-15 or so; what is computed in float64
and then rounded differs only where it lies that near to a limit between two results.
"""

from jaxtyping import Float, UInt8
from torch import Tensor, uint8


def round_theta(theta: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """theta in multiples of 2^-20, far finer than a pixel. The limits are 1e-6 apart: one entry in 1e9 is near one."""
    return (theta * 2**20).round() / 2**20


def to_bytes(images: Float[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """Images in [0, 1] as bytes.

    Averages of pixels often lie halfway between two bytes, but for their last bits. The limit is therefore put a little
    below the half, where values come as rarely as anywhere else.
    """
    return (images * 255 + (0.5 + 2**-20)).floor().to(uint8)
