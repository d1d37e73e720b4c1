"""Transforms that a matrix expresses, and what they have in common: inverse and composition."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from stn.finite import can_look
from stn.transforms.product import product
from stn.transforms.transform import Transform, check_matrix, check_theta
from stn.types import Basis, Coefficients, Matrix, Points, Theta


class MatrixTransform(Transform, ABC):
    """A transform whose map is p_in = A p_out + t, or that followed by a division, for every theta.

    These maps form a group: the inverse of one and two in succession are of the same kind.
    """

    @abstractmethod
    def matrix(self, theta: Theta) -> Matrix:
        """The rows [A | t] of each theta, in (x, y) order; a third row is the divisor's."""

    def basis(self, points: Float[Tensor, "*b n 2"]) -> Basis:
        return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1).mT  # (..., 3, N)

    def coefficients(self, theta: Theta) -> Coefficients:
        return self.matrix(theta)

    def inverse(self, theta: Theta) -> Theta:
        """The theta that undoes this one: `transform(inverse(theta), transform(theta, points))` is `points`.

        A theta that maps the plane to a line or a point has none: ValueError, or in a compiled graph and in a transform of
        `torch.func`, where nothing is checked, numbers that mean nothing.
        """
        undone, failed = torch.linalg.inv_ex(square(self.matrix(theta)))
        if can_look(theta):
            wrong = (failed != 0) | ~undone.isfinite().all((1, 2))
            if wrong.any():
                raise ValueError(f"theta must be invertible, got {theta[wrong]}")
        return self.from_matrix(undone)

    def compose(self, a: Theta, b: Theta) -> Theta:
        """One theta for two maps, b first: `transform(compose(a, b), p)` is `transform(a, transform(b, p))`.

        Seen as pictures: an image straightened with a, and the result with b, is the image straightened with this theta,
        sampled once.
        """
        if a.shape[:1] != b.shape[:1]:
            sizes = [len(check_theta(self, theta)) for theta in (a, b)]
            raise ValueError(f"a and b must have the same batch size, got {sizes[0]} and {sizes[1]}")
        first, second = (square(self.matrix(theta)) for theta in (a, b))
        return self.from_matrix(product(first, second))


def square(matrix: Matrix) -> Float[Tensor, "b 3 3"]:
    """The matrix with the divisor's row 0 0 1, where it has none."""
    if check_matrix(matrix).shape[1] == 3:
        return matrix
    last = torch.zeros_like(matrix[:, :1])
    last[..., 2] = 1
    return torch.cat([matrix, last], dim=1)


def warp_affine(matrix: Float[Tensor, "b 2 3"], points: Points) -> Points:
    """Map output points to input points: p_in = A p_out + t.

    In full precision, whatever autocast or the precision of matrix products is set to. The identity matrix returns every
    point to the bit.

    Args:
        matrix: rows [A | t] in (x, y) order; [[1, 0, 0], [0, 1, 0]] is the identity.
        points: normalised coordinates in the output image.

    Returns:
        Normalised input coordinates; outside [-1, 1] where the transform leaves the image.

    Source: Jaderberg et al. 2015, eq. 1.

    >>> half_turn = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]])
    >>> warp_affine(half_turn, torch.tensor([[[0.5, 0.25]]]))
    tensor([[[-0.5000, -0.2500]]])
    """
    if matrix.ndim != 3 or matrix.shape[1:] != (2, 3):
        raise ValueError(f"matrix must have shape (B, 2, 3), got {tuple(matrix.shape)}")
    if points.ndim != 3 or points.shape[-1] != 2 or points.shape[0] != matrix.shape[0]:
        raise ValueError(f"points must have shape ({len(matrix)}, N, 2) for this matrix, got {tuple(points.shape)}")
    return (product(matrix[..., :2], points.mT) + matrix[..., 2:]).mT


def nearest_similarity(matrix: Matrix) -> tuple[Tensor, Tensor]:
    """scale cos(angle) and scale sin(angle) of the scaled rotation nearest to A, in least squares."""
    matrix = check_matrix(matrix)
    return (matrix[:, 0, 0] + matrix[:, 1, 1]) / 2, (matrix[:, 1, 0] - matrix[:, 0, 1]) / 2
