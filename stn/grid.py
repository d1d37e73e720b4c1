"""The sampling grid: a transform applied to the pixel centres of the output."""

from jaxtyping import Float
from torch import Tensor

from stn.choice import choose
from stn.coordinates import lattice
from stn.transforms import TRANSFORMS, Transform
from stn.types import Grid, Theta


def sampling_grid(transform: str | Transform, theta: Theta, size: tuple[int, int]) -> Grid:
    """For every output pixel the input point it is sampled from.

    Args:
        transform: a transform, or its name in `stn.TRANSFORMS`.
        theta: its parameters, one row per image.
        size: (height, width) of the output.

    Returns:
        (B, height, width, 2) in normalised input coordinates.

    >>> sampling_grid("attention", torch.tensor([[0.5, 0.0, 0.0]]), (1, 2))
    tensor([[[[-0.2500,  0.0000],
              [ 0.2500,  0.0000]]]])
    """
    if isinstance(transform, str):
        transform = choose(TRANSFORMS, transform, "transform")()
    points = lattice(size, dtype=theta.dtype, device=theta.device)
    return transform(theta, points.expand(len(theta), -1, -1)).unflatten(1, size)


def outline(transform: Transform, theta: Theta) -> Float[Tensor, "b 4 2"]:
    """The corners of the region of the input that is sampled, clockwise from the one that becomes the upper left."""
    corners = theta.new_tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])  # (4, 2)
    return transform(theta, corners.expand(len(theta), -1, -1))
