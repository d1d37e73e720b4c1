"""Three parameters: a zoomed, shifted, upright window."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.transforms.matrix import MatrixTransform, nearest_similarity
from stn.transforms.transform import check_theta
from stn.types import Matrix, Theta


class Attention(MatrixTransform):
    """p_in = scale p_out + (x0, y0); a scale below 1 zooms in. Source: Jaderberg et al. 2015, eq. 2."""

    parameter_names = ("scale", "x0", "y0")

    def identity(self) -> Float[Tensor, " p"]:
        return torch.tensor([1.0, 0.0, 0.0])

    def matrix(self, theta: Theta) -> Matrix:
        scale, x0, y0 = check_theta(self, theta).unbind(-1)
        zero = torch.zeros_like(scale)
        return torch.stack([scale, zero, x0, zero, scale, y0], dim=-1).unflatten(-1, (2, 3))

    def from_matrix(self, matrix: Matrix) -> Theta:
        scale, _ = nearest_similarity(matrix)
        return torch.stack([scale, matrix[:, 0, 2], matrix[:, 1, 2]], dim=-1)
