"""What a transform is: a map from output points to input points, steered by theta."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stn.types import Basis, Coefficients, Matrix, Points, Theta


class Transform(nn.Module, ABC):
    """Maps points of the output to the points of the input they are sampled from.

    `transform(theta, points)` with theta (B, P) and points (B, N, 2) gives (B, N, 2), all in the coordinates of
    `stn.coordinates`. It holds no parameters: theta comes from a localization net.

    Every map here is a product of `coefficients`, which depend on theta alone, and a `basis`, which depends on the points
    alone. For the fixed points of a grid the basis is a constant, and a step is one matrix product.
    """

    parameter_names: tuple[str, ...]
    """One name per entry of theta, in order."""

    @abstractmethod
    def identity(self) -> Float[Tensor, " p"]:
        """The theta that leaves every point where it is."""

    @abstractmethod
    def basis(self, points: Float[Tensor, "*b n 2"]) -> Basis:
        """What the map needs to know of the points, (..., M, N); the first two rows are x and y."""

    @abstractmethod
    def coefficients(self, theta: Theta) -> Coefficients:
        """The weight of each function of the basis in x and y of the input point, and in the divisor if there is one."""

    @abstractmethod
    def from_matrix(self, matrix: Matrix) -> Theta:
        """The theta whose map is nearest to p_in = A p_out + t; exact where the transform can express it.

        Args:
            matrix: rows [A | t] in (x, y) order.
        """

    def forward(self, theta: Theta, points: Points) -> Points:
        """Input points for these output points; outside [-1, 1] where the transform leaves the image."""
        return self.place(theta, self.basis(points))

    def place(self, theta: Theta, basis: Basis) -> Points:
        """Input points for the output points that this basis stands for, (M, N) for all images or (B, M, N).

        The result lies in memory coordinate by coordinate, which is what `stn.sample` reads fastest.
        """
        rows = product(self.coefficients(check_theta(self, theta)), basis)  # (B, 2 or 3, N)
        return (divide(rows) if rows.shape[1] == 3 else rows).mT


def product(coefficients: Tensor, basis: Tensor) -> Tensor:
    """coefficients @ basis in full precision, whatever autocast or the precision of matrix products is set to.

    The identity's coefficients are ones and zeros, so it returns every point to the bit.
    """
    if torch.compiler.is_exporting():
        return coefficients @ basis
    if not torch.compiler.is_compiling() and _products_are_exact(coefficients.device):
        with torch.autocast("cpu", enabled=False):
            return coefficients @ basis
    columns, rows = coefficients.unbind(-1), basis.unbind(-2)
    total = columns[0].unsqueeze(-1) * rows[0].unsqueeze(-2)
    for column, row in zip(columns[1:], rows[1:], strict=True):
        total = torch.addcmul(total, column.unsqueeze(-1), row.unsqueeze(-2))
    return total


def _products_are_exact(device: torch.device) -> bool:
    return device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"


NEAREST_DIVISOR = 2.0**-10


def divide(rows: Float[Tensor, "b 3 n"]) -> Float[Tensor, "b 2 n"]:
    """(x, y) / w. A divisor nearer to zero than 2^-10 counts as that, so values and gradients stay finite.

    Points with so small a divisor lie a thousand images away; no picture shows the difference.
    """
    w = rows[:, 2:]
    return rows[:, :2] / torch.where(w < 0, w.clamp(max=-NEAREST_DIVISOR), w.clamp(min=NEAREST_DIVISOR))


def check_theta(transform: Transform, theta: Tensor) -> Tensor:
    """theta itself, or a ValueError that names the transform and both shapes."""
    count = len(transform.parameter_names)
    if theta.ndim != 2 or theta.shape[1] != count:
        name = type(transform).__name__
        raise ValueError(f"theta must have shape (B, {count}) for {name}, got {tuple(theta.shape)}")
    return theta
