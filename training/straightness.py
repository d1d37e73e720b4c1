"""How far a transformer is from undoing the distortion of a training image, which is known.

Cross entropy alone asks for a transformer only as far as the class layers cannot do without one. This asks for it outright.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stn import ThinPlateSpline, Transform, warp_affine
from stn.transforms.product import divide
from stn.types import Points, Theta
from training.distortions import Distortions
from training.points import control_points

_FAR = 1.0
"""Distance, half a picture, beyond which points count linearly: those of a homography may lie anywhere."""
_SPLINE = ThinPlateSpline()


def straightness_loss(transform: Transform, theta: Theta, drawn: Distortions) -> Float[Tensor, ""]:
    """Zero where the transformed image is the picture as it was before the distortion, whatever its size.

    A point p of the transformed image is taken from T(p) in the distorted image, and so from D(T(p)) in the picture; its
    place in the picture is p. The loss is the mean squared distance between the two, in normalised coordinates of the
    picture, over the images and a lattice of 4x4 points (Huber's, linear from 1 on).

    Args:
        theta: (B, P) of the transform.
        drawn: what the images were made with; it moves them.
    """
    lattice = control_points(theta.dtype, theta.device)
    taken = undistorted(transform(theta, lattice.expand(len(theta), -1, -1)), drawn)
    return 2 * F.huber_loss(taken, lattice.expand_as(taken), delta=_FAR)


def undistorted(points: Points, drawn: Distortions) -> Points:
    """Where points of distorted images lie in the pictures, each in normalised coordinates: (B, N, 2) of (x, y)."""
    if drawn.spline is not None:
        points = _SPLINE(drawn.spline.to(points.dtype), points)
    if drawn.matrix is None:  # the spline contains it
        return points
    matrix = drawn.matrix.to(points.dtype)
    if matrix.shape[1] == 2:
        return warp_affine(matrix, points)
    rows = points @ matrix[..., :2].mT + matrix[..., None, :, 2]  # (B, N, 3)
    return divide(rows.mT).mT
