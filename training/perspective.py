"""The homography that undoes what was done to the four corners of an image."""

import torch
from jaxtyping import Float
from torch import Tensor

UNTOUCHED = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
"""The corners of an image: upper left, upper right, lower right, lower left."""


def homography_from_corners(moved: Float[Tensor, "b 4 2"]) -> Float[Tensor, "b 3 3"]:
    """The matrix that takes each moved corner to where it was: (x, y, w) = H (x_moved, y_moved, 1), p = (x, y) / w.

    The map of the other direction, A, takes corner c_i to l_i P_i with P_i = (moved_i, 1) and weights l_i. As
    c_0 - c_1 + c_2 - c_3 = 0, the weights solve l_0 P_0 - l_1 P_1 + l_2 P_2 - l_3 P_3 = 0: each is the area of the
    triangle of the other three moved corners. Sums of the l_i P_i are the columns of A, and cross products of those are
    the rows of its adjugate, which is H up to a factor.

    Args:
        moved: in normalised coordinates, in the order of `UNTOUCHED`.

    Returns:
        H with 1 for its largest entry; always finite. Where the moved corners form no convex quadrilateral, a line across
        the image goes to infinity. Where three of them lie on a line, H has no inverse.

    Source: Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3.

    >>> homography_from_corners(torch.tensor([UNTOUCHED]) / 2)[0]
    tensor([[1.0000, 0.0000, 0.0000],
            [0.0000, 1.0000, 0.0000],
            [0.0000, 0.0000, 0.5000]])
    """
    a, b, c, d = moved.unbind(1)
    areas = torch.stack([_area(b, c, d), _area(a, c, d), _area(a, b, d), _area(a, b, c)], dim=1)  # (B, 4)
    corners = torch.cat([moved, torch.ones_like(moved[..., :1])], dim=-1) * areas.unsqueeze(-1)  # (B, 4, 3)
    first, second, third, fourth = corners.unbind(1)
    x, y, origin = second - first, fourth - first, first + third
    rows = torch.stack([_cross(y, origin), _cross(origin, x), _cross(x, y)], dim=1)  # (B, 3, 3)
    largest = rows.abs().amax((1, 2), keepdim=True)
    return rows / largest.clamp(min=torch.finfo(rows.dtype).tiny)


def _area(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Twice the area of triangles, positive where a, b, c go clockwise on screen."""
    u, v = b - a, c - a
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return torch.linalg.cross(u, v)
