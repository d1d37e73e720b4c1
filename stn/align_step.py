"""One correction of theta: a Gauss-Newton step on the difference of features."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stn.align_features import Features, Weights
from stn.constants import Constants
from stn.coordinates import lattice
from stn.transforms import MatrixTransform, Transform
from stn.types import Theta


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

        def place(theta: Tensor) -> Tensor:
            rows = (self.transform.coefficients(theta[None]) @ basis)[0]
            return rows[:2] if len(rows) == 2 else rows[:2] / rows[2:]

        slopes: Tensor = torch.func.jacrev(place)(self.transform.identity().double())  # (2, N, P)
        return slopes.to(dtype)


class Correction(nn.Module):
    """theta, and the features of both pictures under it, to a better theta.

    With r = warped - fixed at each place, g the slope of the features there and D that of the point by theta, the change is
    -(sum w D'g g'D + damping)^-1 sum w D'g r: where features are linear, the least squares of w r^2. It is zero where both
    pictures are the same, so that what is aligned stays.
    """

    def __init__(self, transform: Transform, cells: int) -> None:
        super().__init__()
        self.slopes = Slopes(transform, cells)

    @property
    def transform(self) -> Transform:
        return self.slopes.transform

    def forward(self, theta: Theta, warped: Features, fixed: Features, weights: Weights, damping: Tensor) -> Theta:
        by_x, by_y = _gradient((warped + fixed) / 2)
        difference = warped - fixed
        weights = (weights / weights.sum((2, 3), keepdim=True).clamp(min=1e-3)).flatten(1)  # (B, N)
        xx, xy, yy, rx, ry = (
            ((first * second).sum(1).flatten(1) * weights).unsqueeze(2)
            for first, second in (
                (by_x, by_x),
                (by_x, by_y),
                (by_y, by_y),
                (by_x, difference),
                (by_y, difference),
            )
        )  # (B, N, 1) each
        x, y = self.slopes.get(warped)  # (N, P) each
        normal = x.mT @ (xx * x + xy * y) + y.mT @ (xy * x + yy * y)  # (B, P, P)
        slope = (x * rx + y * ry).sum(1)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        floor = 1e-3 * diagonal.mean(1, keepdim=True) + 1e-4
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


def _gradient(features: Features) -> tuple[Features, Features]:
    """By x and y in normalised coordinates, from the places on both sides."""
    cells = features.shape[-1]
    wide = F.pad(features, (1, 1, 1, 1), mode="replicate")
    by_x = (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) * (cells / 4)
    by_y = (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) * (cells / 4)
    return by_x, by_y
