"""The arithmetic of transforms: coefficients times a basis, and the division of the projective one."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.types import Basis, Coefficients, Planes

NEAREST_DIVISOR = 2.0**-10


def locate(coefficients: Coefficients, basis: Basis, less: int = 0) -> Planes:
    """The points (B, 2, N) that the product gives, divided by its third row where it has one, less a number.

    The identity's coefficients are ones and zeros, so it returns every point to the bit.
    """
    rows = product(coefficients, basis)  # (B, 2 or 3, N)
    points = rows if rows.shape[1] == 2 else divide(rows)
    return points.sub_(less) if less else points


def product(coefficients: Tensor, basis: Tensor) -> Tensor:
    """coefficients @ basis in full precision, whatever autocast or the precision of matrix products is set to."""
    kind = coefficients.device.type
    exact = not torch.compiler.is_compiling() and _products_are_exact(kind)
    if exact and torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            return coefficients @ basis
    if exact or torch.compiler.is_exporting():
        return coefficients @ basis
    columns, rows = coefficients.unbind(-1), basis.unbind(-2)
    total = columns[0].unsqueeze(-1) * rows[0].unsqueeze(-2)
    for column, row in zip(columns[1:], rows[1:], strict=True):
        total = torch.addcmul(total, column.unsqueeze(-1), row.unsqueeze(-2))
    return total


def divide(rows: Float[Tensor, "b 3 n"]) -> Float[Tensor, "b 2 n"]:
    """(x, y) / w. A divisor nearer to zero than 2^-10 counts as that, so values and gradients stay finite.

    Points with so small a divisor lie a thousand images away; no picture shows the difference.
    """
    w = rows[:, 2:]
    return rows[:, :2] / torch.where(w < 0, w.clamp(max=-NEAREST_DIVISOR), w.clamp(min=NEAREST_DIVISOR))


def _products_are_exact(kind: str) -> bool:
    """Whether a product of float32 is one on this kind of device, where autocast does not reach it."""
    return kind in ("cpu", "cuda") and torch.get_float32_matmul_precision() == "highest"
