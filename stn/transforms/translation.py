"""Two parameters: a shift."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.transforms.matrix import MatrixTransform
from stn.transforms.transform import check_matrix, check_theta
from stn.types import Matrix, Theta


class Translation(MatrixTransform):
    """p_in = p_out + (x0, y0). A shift of 2 is the width (height) of the image."""

    parameter_names = ("x0", "y0")

    def identity(self) -> Float[Tensor, " p"]:
        return torch.zeros(2)

    def matrix(self, theta: Theta) -> Matrix:
        x0, y0 = check_theta(self, theta).unbind(-1)
        zero, one = torch.zeros_like(x0), torch.ones_like(x0)
        return torch.stack([one, zero, x0, zero, one, y0], dim=-1).unflatten(-1, (2, 3))

    def from_matrix(self, matrix: Matrix) -> Theta:
        return check_matrix(matrix)[:, :2, 2]
