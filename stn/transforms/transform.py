"""What a transform is: a map from output points to input points, steered by theta."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stn.types import Matrix, Points, Theta


class Transform(nn.Module, ABC):
    """Maps points of the output to the points of the input they are sampled from.

    `transform(theta, points)` with theta (B, P) and points (B, N, 2) gives (B, N, 2), all in the coordinates of
    `stn.coordinates`. It holds no parameters: theta comes from a localization net.
    """

    parameter_names: tuple[str, ...]
    """One name per entry of theta, in order."""

    @abstractmethod
    def identity(self) -> Float[Tensor, " p"]:
        """The theta that leaves every point where it is."""

    @abstractmethod
    def forward(self, theta: Theta, points: Points) -> Points:
        """Input points for these output points; outside [-1, 1] where the transform leaves the image."""


class MatrixTransform(Transform, ABC):
    """A transform whose map is p_in = A p_out + t for every theta."""

    @abstractmethod
    def matrix(self, theta: Theta) -> Matrix:
        """The rows [A | t] of each theta, in (x, y) order."""

    def forward(self, theta: Theta, points: Points) -> Points:
        return warp_affine(self.matrix(check_theta(self, theta)), points)


def warp_affine(matrix: Matrix, points: Points) -> Points:
    """Map output points to input points: p_in = A p_out + t.

    Written as two multiply-adds, not as a matrix product, so that reduced-precision matrix units (TF32, autocast) never
    touch coordinates. The identity matrix returns every point to the bit.

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
    x, y = points.split(1, dim=-1)  # (B, N, 1)
    columns = matrix.unsqueeze(1)  # (B, 1, 2, 3)
    return torch.addcmul(torch.addcmul(columns[..., 2], x, columns[..., 0]), y, columns[..., 1])


def check_theta(transform: Transform, theta: Tensor) -> Tensor:
    """theta itself, or a ValueError that names the transform and both shapes."""
    count = len(transform.parameter_names)
    if theta.ndim != 2 or theta.shape[1] != count:
        name = type(transform).__name__
        raise ValueError(f"theta must have shape (B, {count}) for {name}, got {tuple(theta.shape)}")
    return theta
