"""A matrix at every pixel centre of an output: a term for the column and a term for the row, added.

A product with a basis of all points reads each column's x once per row; these sums touch only what they write.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from stn.transforms.product import NEAREST_DIVISOR, locate
from stn.types import Basis, Coefficients

FEWEST_POINTS = 2**16
"""In a batch, from which on the sums are faster than a product that is not followed by a division."""


def locate_lattice(
    coefficients: Coefficients, basis: Basis, size: tuple[int, int], less: int = 0
) -> Float[Tensor, "b 2 h w"]:
    """`locate` for the basis of a whole output of this size, row by row."""
    if not _is_separable(coefficients, basis):
        return locate(coefficients, basis, less).unflatten(2, size)
    placed: Tensor = _Lattice.apply(coefficients, basis, size, less)
    return placed


def _is_separable(coefficients: Tensor, basis: Tensor) -> bool:
    """Whether the basis is (x, y, 1), the sums pay, and no divisor is near zero, as far as one may look."""
    if (
        basis.shape[0] != 3
        or basis.numel() == 0
        or coefficients.shape[0] == 0
        or coefficients.device.type
        != "cpu"  # where one product is one kernel, and looking at values is waiting for them
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0  # the sums have no forward derivative
    ):
        return False
    if coefficients.shape[1] == 2:
        return coefficients.shape[0] * basis.shape[1] >= FEWEST_POINTS
    if type(coefficients) is not Tensor:
        return False  # a fake tensor has no values
    divisors = coefficients[:, 2].detach()
    farthest = basis[:2, -1]  # the centre of the last pixel; the first one's is its negative
    return bool((divisors[:, 2] - (divisors[:, :2].abs() * farthest).sum(1)).amin() >= NEAREST_DIVISOR)


class _Lattice(torch.autograd.Function):
    """Points p = (x, y) / w; with q = dL/dp / w, the derivative by the rows of coefficients is that by q and by -q . p."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, basis: Tensor, size: tuple[int, int], less: int) -> Tensor:
        x, y = axes(basis, size)
        columns = (coefficients[:, :, :1] * x).unsqueeze(2)  # (B, R, 1, w)
        rows = torch.addcmul(coefficients[:, :, 2:], coefficients[:, :, 1:2], y).unsqueeze(3)  # (B, R, h, 1)
        points = columns[:, :2] + rows[:, :2]
        divisor = columns[:, 2:] + rows[:, 2:] if coefficients.shape[1] == 3 else None
        if divisor is not None:
            points.div_(divisor)
        if less:
            points.sub_(less)
        ctx.settings = (size, less)
        ctx.save_for_backward(coefficients, basis, divisor, points if divisor is not None else None)
        return points

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        coefficients, basis, divisor, points = ctx.saved_tensors
        size, less = ctx.settings
        if torch.is_grad_enabled():  # asked for a derivative of this one
            rows = coefficients.view_as(coefficients)  # without the hooks of the tensor itself
            located = locate(rows, basis).unflatten(2, size)
            return torch.autograd.grad(located, rows, gradient, create_graph=True)[0], None, None, None
        x, y = axes(basis, size)
        # The sampler's gradient comes point by point; the sums read it coordinate by coordinate.
        gradient = gradient.contiguous()
        if divisor is not None:
            gradient = gradient / divisor
        columns, rows = gradient.sum(2), gradient.sum(3)
        if divisor is not None:
            moved = gradient * points
            columns = torch.cat([columns, -(moved.sum((1, 2)) + less * columns.sum(1)).unsqueeze(1)], dim=1)
            rows = torch.cat([rows, -(moved.sum((1, 3)) + less * rows.sum(1)).unsqueeze(1)], dim=1)
        wanted = torch.stack([(columns * x).sum(2), (rows * y).sum(2), rows.sum(2)], dim=2)
        return wanted, None, None, None


def axes(basis: Basis, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The x (w,) of the columns and the y (h,) of the rows."""
    return basis[0, : size[1]], basis[1, :: size[1]]
