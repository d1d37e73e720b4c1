"""What a transform is: a map from output points to input points, steered by theta."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stn.constants import constant
from stn.transforms.lattice import locate_lattice
from stn.transforms.product import locate
from stn.types import Basis, Coefficients, Matrix, Planes, Points, Theta


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
        """What the map needs to know of the points, (..., M, N); its first rows are x and y, its last row is 1."""

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
        if points.ndim != 3 or points.shape[-1] != 2 or points.shape[:1] != theta.shape[:1]:
            batch = check_theta(self, theta).shape[0]
            raise ValueError(f"points must have shape ({batch}, N, 2) for this theta, got {tuple(points.shape)}")
        if points.dtype != theta.dtype:
            raise ValueError(f"points must have the dtype of theta, {theta.dtype}, got {points.dtype}")
        return self.place(theta, self.basis(points)).mT

    def place(self, theta: Theta, basis: Basis) -> Planes:
        """Input points for the output points that this basis stands for, (M, N) for all images or (B, M, N).

        The result is (B, 2, N), coordinate by coordinate, which is how it is computed and sampled fastest.
        """
        return locate(self.coefficients(theta), basis)

    def place_lattice(self, theta: Theta, basis: Basis, size: tuple[int, int]) -> Float[Tensor, "b 2 h w"]:
        """`place` for the basis of all pixel centres of an output of this (height, width)."""
        return locate_lattice(self.coefficients(theta), basis, size)

    def place_rounded(
        self,
        theta: Theta,
        basis: Basis,
        size: tuple[int, int],
        scale: tuple[float, float],
        shift: tuple[float, float],
    ) -> Float[Tensor, "b 2 h w"]:
        """scale p + shift for each point p of `place_lattice`, rounded to multiples of 2^-22 (in float64, of 2^-51).

        It costs no more: the coefficients are scaled and shifted, not the points. Adding 3 and taking it away again does
        the rounding, for values in [-1, 1].
        """
        return locate_lattice(_rescale(self.coefficients(theta), scale, shift), basis, size, 3)


def _rescale(coefficients: Tensor, scale: tuple[float, float], shift: tuple[float, float]) -> Tensor:
    """The coefficients of scale p + shift + 3."""
    columns = coefficients.shape[2]
    factor = constant(((scale[0],), (scale[1],)), coefficients)
    if coefficients.shape[1] == 2:
        terms = tuple((*(0,) * (columns - 1), value + 3) for value in shift)
        return torch.addcmul(constant(terms, coefficients), coefficients, factor)
    divisor = coefficients[:, 2:]
    term = constant(((shift[0] + 3,), (shift[1] + 3,)), coefficients)
    return torch.cat([torch.addcmul(coefficients[:, :2] * factor, divisor, term), divisor], dim=1)


def check_theta(transform: Transform, theta: Tensor) -> Tensor:
    """theta itself, or a ValueError that names the transform and both shapes."""
    count = len(transform.parameter_names)
    if theta.ndim != 2 or theta.shape[1] != count:
        name = type(transform).__name__
        raise ValueError(f"theta must have shape (B, {count}) for {name}, got {tuple(theta.shape)}")
    return theta


def check_matrix(matrix: Tensor) -> Tensor:
    """The matrix itself, or a ValueError that says what shape it must have."""
    if matrix.ndim != 3 or matrix.shape[1] not in (2, 3) or matrix.shape[2] != 3:
        raise ValueError(f"matrix must have shape (B, 2, 3) or (B, 3, 3), got {tuple(matrix.shape)}")
    return matrix
