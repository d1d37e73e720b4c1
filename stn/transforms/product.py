"""The arithmetic of transforms: coefficients times a basis, and the division of the projective one."""

from typing import Any

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
    exact = not torch.compiler.is_compiling() and _products_are_exact(coefficients.device)
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
    if _is_plain(rows):
        if not (torch.is_grad_enabled() and rows.requires_grad):
            return rows[:, :2] / rows[:, 2:]
        divided: Tensor = _Divide.apply(rows)
        return divided
    w = rows[:, 2:]
    return rows[:, :2] / torch.where(w < 0, w.clamp(max=-NEAREST_DIVISOR), w.clamp(min=NEAREST_DIVISOR))


def _is_plain(rows: Tensor) -> bool:
    """Whether no divisor is near zero, as far as one may look: a GPU would have to wait for the answer."""
    return (
        rows.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and rows.numel() > 0
        and bool(rows[:, 2].detach().amin() >= NEAREST_DIVISOR)
    )


class _Divide(torch.autograd.Function):
    """(x, y) / w with a derivative of few passes over memory: with q = dL/dp / w, those of the rows are q and -q . p."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return rows[:, :2] / rows[:, 2:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # asked for a derivative of this one
            divided = rows[:, :2] / rows[:, 2:]
            return torch.autograd.grad(divided, rows, gradient, create_graph=True)[0]
        return _divided(gradient, rows)


def _divided(gradient: Tensor, rows: Tensor) -> Tensor:
    """The gradient of the three rows from that of the points (x, y) / w."""
    wanted = torch.empty_like(rows)
    q = torch.div(gradient, rows[:, 2:], out=wanted[:, :2])
    moved = (q[:, 0] * rows[:, 0]).addcmul_(q[:, 1], rows[:, 1])
    torch.div(moved.neg_(), rows[:, 2], out=wanted[:, 2])
    return wanted


def _products_are_exact(device: torch.device) -> bool:
    return (
        device.type == "cpu"
        and torch.get_float32_matmul_precision() == "highest"
        and not torch.is_autocast_enabled("cpu")
    )
