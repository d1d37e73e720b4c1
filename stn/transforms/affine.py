"""Six free parameters: rotation, scale, shear and shift."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.transforms.matrix import MatrixTransform
from stn.transforms.transform import check_matrix, check_theta
from stn.types import Matrix, Theta


class Affine(MatrixTransform):
    """theta is the matrix itself, row by row: p_in = [[xx, xy], [yx, yy]] p_out + (x0, y0)."""

    parameter_names = ("xx", "xy", "x0", "yx", "yy", "y0")

    def identity(self) -> Float[Tensor, " p"]:
        return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])

    def matrix(self, theta: Theta) -> Matrix:
        return check_theta(self, theta).unflatten(-1, (2, 3))

    def from_matrix(self, matrix: Matrix) -> Theta:
        return check_matrix(matrix)[:, :2].flatten(1)
