"""How far a transformer undoes a movement: where movement after theta sends the points of a grid.

The moved image has at p what the image has at M p, and what is made of it at q is the moved image at T(q). So the output
point q shows the point M T(q) of the image, and where the transformer undoes the movement, that is the same for all.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from stn.coordinates import lattice
from stn.transforms import Projective, Transform
from stn.transforms.product import divide, locate
from stn.types import Theta

POINTS = (8, 8)
"""Rows and columns of the grid whose points are followed, spread over the output as pixels are."""

Followed = Float[Tensor, "k b n 2"]
"""Where n points of the output lie in the image, for k sizes of a movement and b images, in normalised coordinates."""


def grid_points() -> Float[Tensor, "n 2"]:
    """The points of the output that are followed, in float64."""
    return lattice(POINTS, dtype=torch.float64, device=torch.device("cpu"))


def follow(matrices: Float[Tensor, "k 3 3"], placed: Followed) -> Followed:
    """These points of the moved images as points of the image, in float64."""
    theta = homography_theta(matrices).to(placed.device)
    points = placed.double().flatten(1, 2)  # (K, B N, 2)
    moved: Tensor = Projective()(theta, points)
    return moved.unflatten(1, placed.shape[1:3])


def homography_theta(matrices: Float[Tensor, "k 3 3"]) -> Theta:
    """theta of `stn.Projective` for these homographies."""
    return Projective().from_matrix(matrices)


def distance(points: Followed, where: Float[Tensor, "#k b n 2"], size: tuple[int, int]) -> Float[Tensor, "k b"]:
    """How far points lie from where others do, in pixels of an image of this (height, width): root of the mean square."""
    return _in_pixels(points - where, size).square().sum(-1).mean(-1).sqrt()


def spread(points: Followed, size: tuple[int, int]) -> Float[Tensor, " b"]:
    """How far each image's points lie from their mean over the movements: root of the mean square, in pixels.

    The first and the last size count half, so that a whole turn counts once.
    """
    weights = torch.ones(len(points), dtype=points.dtype, device=points.device)
    weights[[0, -1]] = 0.5 if len(points) > 1 else 1.0
    weights = (weights / weights.sum()).view(-1, 1, 1, 1)
    mean = (weights * points).sum(0)
    squares: Tensor = (weights * _in_pixels(points - mean, size).square()).sum((0, 3))  # (B, N)
    return squares.mean(-1).sqrt()


def best_theta(transform: Transform, matrices: Float[Tensor, "k 3 3"], size: tuple[int, int], steps: int = 30) -> Theta:
    """The theta of this transform that undoes each movement best: least squares of M T(q) - q over the grid's points.

    By damped Gauss-Newton steps from the theta nearest to the inverse, in float64 on the CPU; bounds of a layer are not
    considered.

    Args:
        transform: the family that theta is of.
        matrices: the movements, invertible.
        size: (height, width) of the image, in whose pixels distances are measured.
        steps: of the descent.

    >>> quarter_turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> best_theta(stn.Similarity(), quarter_turn, (28, 28))[0].rad2deg()[1].round()
    tensor(-90., dtype=torch.float64)
    """
    matrices = matrices.double().cpu()
    points = grid_points()
    basis = transform.basis(points)
    inverse = torch.linalg.inv(matrices)
    theta = transform.from_matrix(inverse / inverse[:, 2:, 2:])

    def error(theta: Tensor, matrix: Tensor) -> Tensor:
        return _in_pixels(_sent(transform, theta, matrix, basis) - points, size).flatten()

    slopes = torch.func.vmap(torch.func.jacrev(error))
    left = torch.func.vmap(error)(theta, matrices)  # (K, 2 N)
    damping = left.new_full((len(theta), 1, 1), 1e-6)
    for _ in range(steps):
        jacobian = slopes(theta, matrices)  # (K, 2 N, P)
        normal, gradient = jacobian.mT @ jacobian, jacobian.mT @ left.unsqueeze(-1)
        if gradient.abs().max() < 1e-7:  # square pixels per unit of theta
            break
        diagonal = torch.diag_embed(normal.diagonal(dim1=1, dim2=2) + 1e-9)
        step = torch.linalg.solve(normal + damping * diagonal, gradient).squeeze(-1)
        tried = torch.func.vmap(error)(theta - step, matrices)
        better = tried.square().sum(-1) < left.square().sum(-1)
        theta = torch.where(better[:, None], theta - step, theta)
        left = torch.where(better[:, None], tried, left)
        damping = torch.where(better[:, None, None], damping / 10, damping * 10).clamp(1e-12, 1e12)
    return theta


def _sent(transform: Transform, theta: Tensor, matrix: Tensor, basis: Tensor) -> Tensor:
    """M T(q) of each point."""
    placed = locate(transform.coefficients(theta.unsqueeze(0)), basis)[0]  # (2, N)
    rows = matrix[:, :2] @ placed + matrix[:, 2:]
    return divide(rows.unsqueeze(0))[0].mT


def _in_pixels(vectors: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    return vectors * vectors.new_tensor([width / 2, height / 2])
