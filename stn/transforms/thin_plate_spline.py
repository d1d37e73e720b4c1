"""2K parameters: a smooth warp that takes K points of the output where theta says."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stn.constants import Constants
from stn.coordinates import check_size
from stn.transforms.matrix import warp_affine
from stn.transforms.transform import Transform, check_matrix, check_theta
from stn.types import Basis, Coefficients, Matrix, Theta


class ThinPlateSpline(Transform):
    """The map of least bending that takes control point k to (x, y) number k of theta.

    The control points are a lattice on [-1, 1], row by row, its outer ones on the outer edges of the image. They never
    change, so the spline's linear system is solved once, here. The map is then p + sum over k of (theta_k - c_k) phi_k(p)
    with fixed functions phi_k: 1 at control point k and 0 at the others.

    Args:
        lattice: rows and columns of control points, at least (2, 2) and at most 1,024 points.

    Source: Bookstein 1989; Jaderberg et al. 2015, section 3.2.

    >>> spline = stn.ThinPlateSpline((3, 3))
    >>> theta = spline.identity()[None]
    >>> theta[0, 8:10] += torch.tensor([0.1, 0.2])
    >>> spline(theta, torch.zeros(1, 1, 2)).round(decimals=4)  # the middle point goes where theta says
    tensor([[[0.1000, 0.2000]]])
    """

    def __init__(self, lattice: tuple[int, int] = (4, 4)) -> None:
        super().__init__()
        rows, columns = check_size(lattice, "lattice", 2)
        if rows * columns > 1024:
            raise ValueError(f"lattice must have at most 1024 points, got {tuple(lattice)}")
        self.lattice = (rows, columns)
        self.parameter_names = tuple(f"{axis}{i}_{j}" for i in range(rows) for j in range(columns) for axis in "xy")
        self._straight = _Straight(self.lattice)
        self._weights = cardinal_weights(control_points(self.lattice).double())  # (K + 3, K)

    def control_points(self) -> Float[Tensor, "k 2"]:
        """The fixed points of the output, (x, y), row by row, float32 on the CPU."""
        return control_points(self.lattice)

    def identity(self) -> Float[Tensor, " p"]:
        return self.control_points().flatten()

    def basis(self, points: Float[Tensor, "*b n 2"]) -> Basis:
        control = self.control_points().to(points)
        with torch.autocast(points.device.type, enabled=False):
            phi = radial_functions(points, control) @ self._weights.to(points)  # (..., N, K)
        return torch.cat([points.mT, phi.mT, torch.ones_like(points[..., :1]).mT], dim=-2)

    def coefficients(self, theta: Theta) -> Coefficients:
        placed = F.pad(check_theta(self, theta).unflatten(-1, (-1, 2)).mT, (2, 1))  # (B, 2, 2 + K + 1)
        return placed + self._straight.get(theta)

    def from_matrix(self, matrix: Matrix) -> Theta:
        control = self.control_points().to(matrix)
        return warp_affine(check_matrix(matrix)[:, :2], control.expand(matrix.shape[0], -1, -1)).flatten(1)


class _Straight(Constants):
    """The coefficients of the identity less those of theta: p itself, and minus the control points."""

    def __init__(self, lattice: tuple[int, int]) -> None:
        super().__init__()
        self.lattice = lattice
        self.refresh()

    def compute(self, dtype: torch.dtype) -> Tensor:
        moved = -control_points(self.lattice).mT  # (2, K)
        return torch.cat([torch.eye(2), moved, torch.zeros(2, 1)], dim=-1).to(dtype)


def control_points(lattice: tuple[int, int]) -> Float[Tensor, "k 2"]:
    """A lattice of (rows, columns) on [-1, 1]: (x, y), row by row, float32 on the CPU."""
    y, x = ((2 * _counted(count) + 1 - count) / (count - 1) for count in lattice)
    return torch.cartesian_prod(y, x).flip(-1)


def _counted(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float32, device="cpu")


def cardinal_weights(control: Float[Tensor, "k 2"]) -> Float[Tensor, "q k"]:
    """What to multiply the radial functions with to get the functions that are 1 at one control point and 0 at the others.

    [ U   P ] [ weights ]   [ I ]      U_ij = U(|c_i - c_j|), P = (1, x, y) of each control point;
    [ P^T 0 ] [ affine  ] = [ 0 ]      the last three rows keep the bending finite.
    """
    count = len(control)
    system = control.new_zeros(count + 3, count + 3)
    system[:count] = radial_functions(control, control)
    system[count:, :count] = system[:count, count:].mT
    return torch.linalg.solve(system, torch.eye(count + 3, count, dtype=control.dtype, device=control.device))


def radial_functions(points: Float[Tensor, "*b n 2"], control: Float[Tensor, "k 2"]) -> Float[Tensor, "*b n q"]:
    """U(r) = r^2 log r^2 of the distances to the control points, then 1, x and y."""
    squares = (points.unsqueeze(-2) - control).square().sum(-1)  # (..., N, K)
    radial = squares * torch.where(squares > 0, squares, 1.0).log()
    return torch.cat([radial, torch.ones_like(points[..., :1]), points], dim=-1)
