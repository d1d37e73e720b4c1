"""The sampling grid: a transform applied to the pixel centres of the output."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.choice import choose
from stn.constants import Constants, on_cpu
from stn.coordinates import check_size, lattice
from stn.finite import check_finite
from stn.transforms import TRANSFORMS, MatrixTransform, Transform
from stn.transforms.transform import check_theta
from stn.types import Basis, Grid, Theta


class GridGenerator(Constants):
    """Makes the grids of one transform and one output size.

    What the transform needs to know of the output's pixels never changes: it is computed once and kept, so a step is one
    matrix product.

    Args:
        transform: a transform, or its name in `stn.TRANSFORMS`.
        size: (height, width) of the output.

    >>> generator = stn.GridGenerator("thin_plate_spline", (20, 30))
    >>> generator(generator.transform.identity().expand(5, -1)).shape
    torch.Size([5, 20, 30, 2])
    """

    def __init__(self, transform: str | Transform, size: tuple[int, int]) -> None:
        super().__init__()
        self.transform = _chosen(transform)
        self.size = check_size(size)
        self.values = self.values.to(torch.get_default_dtype())
        self.refresh()

    def compute(self, dtype: torch.dtype) -> Basis:
        return self.transform.basis(lattice(self.size, dtype=torch.float64)).to(dtype)

    def forward(self, theta: Theta) -> Grid:
        """For every output pixel the input point it is sampled from, in float32 or wider; see `sampling_grid`."""
        theta = theta.to(torch.promote_types(theta.dtype, torch.float32))
        return self.transform.place_lattice(theta, self.get(theta), self.size).permute(0, 2, 3, 1)

    def identity(self, grid: Grid) -> Float[Tensor, "h_out w_out 2"]:
        """The grid of the identity, in the dtype and on the device of another grid."""
        return self.get(grid)[:2].mT.unflatten(0, self.size)


def sampling_grid(transform: str | Transform, theta: Theta, size: tuple[int, int]) -> Grid:
    """For every output pixel the input point it is sampled from.

    Where the same transform and size are used again and again, `GridGenerator` does the preparation once.

    Args:
        transform: a transform, or its name in `stn.TRANSFORMS`.
        theta: its parameters, one row per image; finite, or it is a ValueError.
        size: (height, width) of the output.

    Returns:
        (B, height, width, 2) in normalised input coordinates, in float32 or wider.

    >>> sampling_grid("attention", torch.tensor([[0.5, 0.0, 0.0]]), (1, 2))
    tensor([[[[-0.2500,  0.0000],
              [ 0.2500,  0.0000]]]])
    """
    chosen, size = _chosen(transform), check_size(size)
    theta = check_finite(check_theta(chosen, theta), "theta")
    theta = theta.to(torch.promote_types(theta.dtype, torch.float32))
    with on_cpu():
        basis = chosen.basis(lattice(size, dtype=torch.float64))
    return chosen.place_lattice(theta, basis.to(theta), size).permute(0, 2, 3, 1)


def _chosen(transform: str | Transform) -> Transform:
    if not isinstance(transform, str | Transform):
        raise ValueError(f"transform must be a name in stn.TRANSFORMS or a Transform, got {transform!r}")
    return choose(TRANSFORMS, transform, "transform")() if isinstance(transform, str) else transform


def outline(transform: Transform, theta: Theta) -> Float[Tensor, "b n 2"]:
    """The border of the region of the input that is sampled, clockwise from the point that becomes the upper left corner.

    Four corners where the transform keeps lines straight, 16 points a side where it bends them.
    """
    side = 1 if isinstance(transform, MatrixTransform) else 16
    edge = (2 * torch.arange(side, dtype=theta.dtype, device=theta.device) - side) / side  # from -1 to just before 1
    end = torch.ones_like(edge)
    x, y = torch.cat([edge, end, -edge, -end]), torch.cat([-end, edge, end, -edge])
    return transform(theta, torch.stack([x, y], dim=-1).expand(theta.shape[0], -1, -1))
