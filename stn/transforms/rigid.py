"""Three parameters: rotation and shift."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.transforms.matrix import MatrixTransform, nearest_similarity
from stn.transforms.transform import check_theta
from stn.types import Matrix, Theta


class Rigid(MatrixTransform):
    """p_in = R(angle) p_out + (x0, y0), with R = [[cos, -sin], [sin, cos]].

    The angle is in radians: a positive one turns the picture anticlockwise on screen. It turns normalised coordinates, so
    on an image that is not square a turned square of pixels becomes a parallelogram.
    """

    parameter_names = ("angle", "x0", "y0")

    def identity(self) -> Float[Tensor, " p"]:
        return torch.zeros(3)

    def matrix(self, theta: Theta) -> Matrix:
        angle, x0, y0 = check_theta(self, theta).unbind(-1)
        cos, sin = torch.cos(angle), torch.sin(angle)
        return torch.stack([cos, -sin, x0, sin, cos, y0], dim=-1).unflatten(-1, (2, 3))

    def from_matrix(self, matrix: Matrix) -> Theta:
        cos, sin = nearest_similarity(matrix)
        return torch.stack([torch.atan2(sin, cos), matrix[:, 0, 2], matrix[:, 1, 2]], dim=-1)
