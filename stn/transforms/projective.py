"""Eight parameters: a plane seen in perspective."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stn.transforms.matrix import MatrixTransform, square
from stn.transforms.transform import check_theta
from stn.types import Matrix, Theta


class Projective(MatrixTransform):
    """(x, y, w) = H (x_out, y_out, 1) and p_in = (x, y) / w; theta is H row by row without its last entry, which is 1.

    A divisor w nearer to zero than 2^-10 counts as that, with its sign, so values and gradients stay finite.
    """

    parameter_names = ("xx", "xy", "x0", "yx", "yy", "y0", "wx", "wy")

    def identity(self) -> Float[Tensor, " p"]:
        return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])

    def matrix(self, theta: Theta) -> Matrix:
        return F.pad(check_theta(self, theta), (0, 1), value=1.0).unflatten(-1, (3, 3))

    def from_matrix(self, matrix: Matrix) -> Theta:
        """theta of a homography (B, 3, 3) or of an affine matrix (B, 2, 3).

        A homography whose last entry is 0 sends the centre of the output to infinity; theta is then not finite.
        """
        entries = square(matrix).flatten(1)
        return entries[:, :8] / entries[:, 8:]
