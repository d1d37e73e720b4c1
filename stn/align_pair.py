"""Two pictures, of any size and colour, laid on each other."""

import time
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stn.align_step import Correction
from stn.align_views import FLAT, check_pair, laid, view, why_flat
from stn.aligner import Aligner
from stn.grid import sampling_grid
from stn.sampler import sample
from stn.transforms import MatrixTransform, Transform
from stn.types import Theta

Picture = Float[Tensor, "c h w"]
Other = Float[Tensor, "c2 h2 w2"]
"""A picture of another size and colour."""
LONGEST = 600
"""Seconds of refinement."""


class Alignment(NamedTuple):
    """What was found for two pictures."""

    image: Float[Tensor, "c h w"]
    """The moving picture laid on the fixed one: of its height and width, in the moving picture's own channels."""
    theta: Float[Tensor, " p"]
    """Of the aligner's last transform: maps points of the fixed picture to points of the moving one, each in normalised
    coordinates of its own."""
    inverse: Float[Tensor, " p"] | None
    """The theta of the other direction; None for a transform that has none, or a theta that cannot be undone."""
    grid: Float[Tensor, "h w 2"]
    """The point of the moving picture for every pixel of the fixed one."""
    confidence: float
    """In [0, 1], see `stn.Aligned`."""
    refined: bool
    """Whether the descent made it better."""
    notes: tuple[str, ...]
    """What was done to bring the pictures together, in words."""


@torch.inference_mode()
def align(aligner: Aligner, moving: Picture, fixed: Other, *, seconds: float = 0.0) -> Alignment:
    """The moving picture laid on the fixed one.

    Pictures of different size or colour are brought together: the moving one is stretched to the fixed one's size for
    finding theta, and both are looked at in grey. What is returned is sampled from the moving picture as it was given, once.

    Args:
        aligner: in evaluation mode.
        moving: floats in [0, 1], one or three channels, at least 8x8.
        fixed: likewise, of another size if need be.
        seconds: refine by descent on the difference of the pictures for at most so long; it is kept only if the pictures
            then agree better.

    Raises:
        ValueError: a picture is flat, or has another shape or dtype.

    >>> aligner = stn.build_aligner(stn.AlignerConfig()).eval()
    >>> found = stn.align(aligner, torch.rand(3, 60, 80), torch.rand(1, 40, 40))
    >>> found.image.shape, found.theta.shape
    (torch.Size([3, 40, 40]), torch.Size([8]))
    >>> found.notes
    ('moving was stretched from 80 x 60 to 40 x 40 (width x height)', 'moving was turned grey to be compared')
    """
    require_seconds(seconds)
    for name, picture in (("moving", moving), ("fixed", fixed)):
        if not picture.is_floating_point():
            raise ValueError(f"{name} must be floating point, in [0, 1], got {picture.dtype}")
        if picture.ndim != 3 or picture.shape[0] not in (1, 3) or min(picture.shape[1:]) < 8:
            rule = "shape (1, H, W) or (3, H, W) with sides of at least 8"
            raise ValueError(f"{name} must have {rule}, got {tuple(picture.shape)}")
    size = (fixed.shape[1], fixed.shape[2])
    pair, notes = bring_together(moving, fixed)
    check_pair(*pair)
    pair = pair[0].to(aligner.damping), pair[1].to(aligner.damping)
    theta, logit = aligner.locate(*pair)
    better = refine(aligner.transform, theta, *pair, seconds) if seconds else None
    theta = theta if better is None else better
    grid = sampling_grid(aligner.transform, theta, size)
    image = sample(moving.unsqueeze(0), grid.to(torch.promote_types(moving.dtype, torch.float32)))
    return Alignment(
        image[0],
        theta[0],
        inverse(aligner.transform, theta),
        grid[0],
        float(logit.sigmoid()),
        better is not None,
        notes,
    )


def bring_together(moving: Picture, fixed: Other) -> tuple[tuple[Tensor, Tensor], tuple[str, ...]]:
    """Both pictures in grey and of the fixed one's size, (1, 1, H, W) each, and what was done for that, in words.

    Raises:
        ValueError: a picture is flat, or is so at that size.
    """
    notes = []
    (h, w), size = moving.shape[1:], (fixed.shape[1], fixed.shape[2])
    grey = [picture.mean(0)[None, None] for picture in (moving, fixed)]
    if (h, w) != size:
        notes.append(f"moving was stretched from {w} x {h} to {size[1]} x {size[0]} (width x height)")
        grey[0] = F.interpolate(grey[0], size, mode="bilinear", antialias=True, align_corners=False)
    for name, picture, seen in zip(("moving", "fixed"), (moving, fixed), grey, strict=True):
        _require_shown(name, picture, seen)
    if moving.shape[0] != fixed.shape[0]:
        which = "moving" if moving.shape[0] == 3 else "fixed"
        notes.append(f"{which} was turned grey to be compared")
    return (grey[0], grey[1]), tuple(notes)


def _require_shown(name: str, picture: Picture, seen: Float[Tensor, "1 1 u v"]) -> None:
    if bool(seen.std() >= FLAT):
        return
    if bool(picture.mean(0).std() >= FLAT):
        height, width = seen.shape[2:]
        rule = f"show something at the {width} x {height} (width x height) at which it is looked at"
        raise ValueError(f"{name} must {rule}, got what is too small for that: there it is flat")
    raise ValueError(f"{name} must {why_flat(picture)}")


def inverse(transform: Transform, theta: Theta) -> Float[Tensor, " p"] | None:
    """The theta of the other direction, where there is one."""
    if not isinstance(transform, MatrixTransform):
        return None
    try:
        undone = transform.inverse(theta)[0]
    except ValueError:
        return None
    return undone if bool(undone.isfinite().all()) else None


def refine(transform: Transform, theta: Theta, moving: Tensor, fixed: Tensor, seconds: float) -> Theta | None:
    """A theta under which the pictures agree better, or None where none was found in this time.

    Gauss-Newton steps on the difference of the pictures themselves, in a square of at most 128; each begins at the best
    theta so far, and is shortened where it did not help.

    Args:
        transform: of theta.
        theta: (1, P), where it begins.
        moving: (1, 1, H, W).
        fixed: of the same shape.
        seconds: after which no further step begins.
    """
    end = time.monotonic() + seconds
    side = max(16, min(128, max(fixed.shape[2:]) // 2 * 2))
    correction = Correction(transform, side).to(theta.device)
    views = view(moving, side), view(fixed, side)
    best, least = theta, _difference(transform, theta, *views)
    first, damping = least, 1e-3
    while time.monotonic() < end and damping < 1e3:
        warped, inside = laid(transform, best, views[0])
        tried = correction(best, _matched(warped, views[1], inside), views[1], inside, theta.new_tensor(damping))
        found = _difference(transform, tried, *views)
        if found < least:
            done = least - found < 1e-6 * least
            best, least, damping = tried, found, damping / 5
            if done:
                break
        else:
            damping *= 5
    return best if least < first else None


def _difference(transform: Transform, theta: Theta, moving: Tensor, fixed: Tensor) -> float:
    """Mean square of what is left between the pictures where both show something; leaving that place does not pay."""
    if not bool(theta.isfinite().all()):
        return float("inf")
    warped, inside = laid(transform, theta, moving)
    share = float(inside.mean())
    if share < 0.1:
        return float("inf")
    left = ((_matched(warped, fixed, inside) - fixed).square() * inside).sum() / inside.sum()
    return float(left) / share**0.5


def _matched(warped: Tensor, fixed: Tensor, inside: Tensor) -> Tensor:
    """The warped picture with mean and deviation of the fixed one over what both show."""
    total = inside.sum().clamp(min=1)

    def moments(image: Tensor) -> tuple[Tensor, Tensor]:
        mean = (image * inside).sum() / total
        return mean, (((image - mean).square() * inside).sum() / total).clamp(min=1e-6).sqrt()

    (mean, deviation), (wanted, spread) = moments(warped), moments(fixed)
    return (warped - mean) / deviation * spread + wanted


def require_seconds(seconds: float) -> None:
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"seconds must be in [0, {LONGEST}], got {seconds}")
