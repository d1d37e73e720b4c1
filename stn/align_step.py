"""One correction of theta: a Gauss-Newton step on the difference of features."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stn.align_features import Features, Weights
from stn.constants import Constants
from stn.coordinates import lattice
from stn.transforms import MatrixTransform, ThinPlateSpline, Transform
from stn.transforms.thin_plate_spline import cardinal_weights
from stn.types import Theta

_STIFF, _SLACK, _BENT = 1 / 32, 1.5e-4, 7e-4
"""How much bending counts against features: of a straight spline, of one that bends much, and the bending half between."""


class Slopes(Constants):
    """How the points of a lattice move with theta at the identity: (2, N, P)."""

    def __init__(self, transform: Transform, cells: int) -> None:
        super().__init__()
        self.transform = transform
        self.cells = cells
        self.values = self.values.to(torch.get_default_dtype())
        self.refresh()

    def compute(self, dtype: torch.dtype) -> Tensor:
        points = lattice((self.cells, self.cells), dtype=torch.float64)
        basis = self.transform.basis(points)

        def coefficients(theta: Tensor) -> Tensor:
            return self.transform.coefficients(theta[None])[0]

        by_theta = torch.func.jacrev(coefficients)(self.transform.identity().double())  # (R, M, P)
        slopes: Tensor = torch.einsum("rmp,mn->rnp", by_theta, basis)
        if len(slopes) == 3:  # (x, y) / w, where w is 1
            slopes = slopes[:2] - points.mT.unsqueeze(2) * slopes[2:]
        return slopes.to(dtype)


class Bending(Constants):
    """How much a spline bends, as a quadratic form of theta, (P, P): 0 for every affine map, and for a smooth one nearly the
    same whatever the lattice; 1 in the mean where one of 4x4 control points moves by 1."""

    def __init__(self, transform: ThinPlateSpline) -> None:
        super().__init__()
        self.transform = transform
        self.values = self.values.to(torch.get_default_dtype())
        self.refresh()

    def compute(self, dtype: torch.dtype) -> Tensor:
        control = self.transform.control_points().double()
        energy = cardinal_weights(control)[: len(control)].contiguous()
        return torch.kron(energy, torch.eye(2, dtype=energy.dtype)).to(dtype)

    def of(self, theta: Theta) -> tuple[Float[Tensor, " b"], Float[Tensor, "b p"]]:
        """How much theta bends, turned and scaled back by its linear part, and the slope of half of that by a small change
        before it, T(p) to T(S(p))."""
        control = self.transform.control_points().to(theta)
        placed = theta.unflatten(1, (-1, 2))  # (B, K, 2)
        linear = placed.mT @ control / control.square().sum(0)  # (B, 2, 2): the lattice is symmetric
        back = 2 * linear / linear.square().sum((1, 2), keepdim=True).clamp(min=1e-3)  # the inverse of a similarity
        theta = (placed @ back).flatten(1)
        pull = theta @ self.get(theta)
        return (theta * pull).sum(1), pull


class Correction(nn.Module):
    """theta, and the features of both pictures under it, to a better theta.

    With r = warped - fixed at each place, g the slope of the features there and D that of the point by theta, the change is
    -(sum w D'g g'D + damping)^-1 sum w D'g r: where features are linear, the least squares of w r^2. It is zero where both
    pictures are the same, so that what is aligned stays. A spline is held straight as well, by its bending energy: firmly
    while it hardly bends, so that it does not follow what is not there, and loosely once it does.
    """

    def __init__(self, transform: Transform, cells: int) -> None:
        super().__init__()
        self.slopes = Slopes(transform, cells)
        self.bending = Bending(transform) if isinstance(transform, ThinPlateSpline) else None

    @property
    def transform(self) -> Transform:
        return self.slopes.transform

    def forward(self, theta: Theta, warped: Features, fixed: Features, weights: Weights, damping: Tensor) -> Theta:
        slopes, difference = _gradient((warped + fixed) / 2), warped - fixed
        weights = (weights / weights.sum((2, 3), keepdim=True).clamp(min=1e-3)).flatten(1)  # (B, N)
        squares, mixed, towards = (
            products.sum(2).flatten(2) * weights.unsqueeze(1)
            for products in (slopes * slopes, slopes[:, :1] * slopes[:, 1:], slopes * difference.unsqueeze(1))
        )  # (B, 2, N), (B, 1, N), (B, 2, N)
        (xx, yy), (xy,), (rx, ry) = (
            part.unsqueeze(3).unbind(1) for part in (squares, mixed, towards)
        )  # (B, N, 1) each
        x, y = self.slopes.get(warped)  # (N, P) each
        normal = x.mT @ (xx * x + xy * y) + y.mT @ (xy * x + yy * y)  # (B, P, P)
        slope = (x * rx + y * ry).sum(1)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        floor = 1e-3 * diagonal.mean(1, keepdim=True) + 1e-4
        if self.bending is not None:
            bend, pull = self.bending.of(theta)
            stiffness = (_SLACK + _STIFF / (1 + bend / _BENT)) * diagonal.sum(1)
            normal = normal + stiffness[:, None, None] * self.bending.get(theta)
            slope = slope + stiffness[:, None] * pull
        normal = normal + torch.diag_embed(damping * diagonal + floor)
        change = -torch.linalg.solve(normal, slope)
        return self._moved(theta, change.clamp(-0.5, 0.5))

    def _moved(self, theta: Theta, change: Tensor) -> Theta:
        """theta after a small theta of the same kind: T(p) becomes T(S(p))."""
        transform = self.transform
        step = transform.identity().to(theta) + change
        if isinstance(transform, MatrixTransform):
            return transform.compose(theta, step)
        moved: Tensor = transform(theta, step.unflatten(1, (-1, 2)))
        return moved.flatten(1)


def carry(old: Transform, theta: Theta, new: Transform) -> Float[Tensor, "b q"]:
    """The theta of the new transform whose map is nearest to the old one's; exact where the new one can express it."""
    if old is new:
        return theta
    if isinstance(old, MatrixTransform) and isinstance(new, MatrixTransform):
        return new.from_matrix(old.matrix(theta))
    control = new.identity().to(theta).unflatten(0, (-1, 2))
    points: Tensor = old(theta, control.expand(len(theta), -1, -1))
    return points.flatten(1)


def _gradient(features: Features) -> Float[Tensor, "b 2 c u v"]:
    """By x and y in normalised coordinates, from the places on both sides."""
    wide = F.pad(features, (1, 1, 1, 1), mode="replicate")
    by_x = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]
    by_y = wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
    return torch.stack([by_x, by_y], dim=1) * (features.shape[-1] / 4)
