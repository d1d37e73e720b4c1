"""What an aligner is trained by, and by what it is judged."""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from stn.align_views import laid, view
from stn.aligner import Aligner, Trace
from stn.coordinates import lattice
from stn.transforms import Transform
from stn.types import Images, Points, Theta
from training.pairs import DrawnPairs

POINTS = (8, 8)
"""Rows and columns of the points of the fixed view that are followed, spread as pixels are."""
CLOSE = 0.03
"""Mean distance, as a share of the image's side, within which one picture lies on the other."""
SIDE = 64.0
"""The loss measures distances in pixels of an image of this side."""
FAR = 12.0
"""Pixels beyond which a distance hardly counts more: such a start is not to be mended by corrections."""
_SPREAD = 0.06
"""Of the search's targets: distance at which a movement counts little, as a share of the side."""


def points_like(values: Tensor) -> Float[Tensor, "n 2"]:
    """The points that are followed, in the dtype and on the device of another tensor."""
    return lattice(POINTS, dtype=values.dtype, device=values.device)


def distances(transform: Transform, theta: Theta, truth: Points) -> Float[Tensor, "b n"]:
    """Between where theta and the truth send the points, in half sides of the image (normalised coordinates)."""
    points = points_like(theta).expand(len(theta), -1, -1)
    placed: Tensor = transform(theta, points)
    return (placed - truth).square().sum(-1).add(1e-12).sqrt()


class Losses(NamedTuple):
    """The parts of a batch's loss, each ()."""

    points: Tensor
    search: Tensor
    confidence: Tensor
    photometric: Tensor

    @classmethod
    def none(cls, like: Tensor) -> "Losses":
        zero = like.new_zeros(())
        return cls(zero, zero, zero, zero)

    def total(self, points: float, photometric: float) -> Tensor:
        return points * (self.points + self.search) + self.confidence + photometric * self.photometric


def align_losses(
    aligner: Aligner, moving: Images, fixed: Images, drawn: DrawnPairs, photometric: bool = False
) -> Losses:
    """The losses of a batch of pairs whose true transform is known.

    The search is to name the movements that send points near to where the truth does. The corrections begin at what it
    likes best, or, where that is far off, at the nearest movement there is. A part of the pairs is shown with the moving
    picture of another, which the confidence is to notice.
    """
    truth = drawn.truth(points_like(moving).expand(len(moving), -1, -1))  # (B, N, 2)
    with torch.no_grad():
        movements = aligner.search.matrices.get(moving)
        off = _far_off(movements, truth)  # (B, K)
    trace = aligner.trace(moving, fixed, partial(_start, off))
    target = (-(off - off.amin(1, keepdim=True)) / _SPREAD).softmax(1)
    search = -(target * trace.found.logits.log_softmax(1)).sum(1).mean()
    parts = []
    for estimate in trace.estimates[1:]:
        pixels = distances(estimate.transform, estimate.theta, truth) * (SIDE / 2)
        parts.append((FAR * torch.tanh((pixels.square() + 0.01).sqrt() / FAR)).mean())
    weights = torch.linspace(0.5, 1.0, len(parts))
    points = sum(weight * part for weight, part in zip(weights.tolist(), parts, strict=True)) / float(weights.sum())
    last = trace.estimates[-1]
    close = distances(last.transform, last.theta, truth).mean(1) < 2 * CLOSE
    strangers = max(1, len(moving) // 8)
    stranger = aligner.trace(moving.roll(1, 0)[:strangers], fixed[:strangers], lambda logits: logits.argmax(1))
    logits = torch.cat([trace.logit, stranger.logit])
    wanted = torch.cat([close, torch.zeros_like(close[:strangers])]).to(logits)
    confidence = F.binary_cross_entropy_with_logits(logits, wanted)
    seen = local_correlation_loss(trace, moving, fixed) if photometric else points.new_zeros(())
    return Losses(points, search, confidence, seen)


def unlike_loss(aligner: Aligner, moving: Images, fixed: Images) -> Losses:
    """The losses of pairs without a known transform: how little the pictures agree once they lie on each other."""
    trace = aligner.trace(moving, fixed, lambda logits: logits.argmax(1))
    return Losses.none(moving)._replace(photometric=local_correlation_loss(trace, moving, fixed))


def _start(off: Float[Tensor, "b k"], logits: Float[Tensor, "b k"]) -> Int[Tensor, " b"]:
    """The movement that the corrections begin at in training: the search's best, unless it is far off."""
    best, nearest = logits.argmax(1), off.argmin(1)
    best_off, least = (off.gather(1, index[:, None]).squeeze(1) for index in (best, nearest))
    return torch.where(best_off > 2 * least + 0.05, nearest, best)


def _far_off(movements: Float[Tensor, "k 2 3"], truth: Points) -> Float[Tensor, "b k"]:
    """Mean distance between where each movement and the truth send the points, as a share of the side."""
    points = points_like(truth)
    placed = (points @ movements[:, :, :2].mT + movements[:, None, :, 2]).flatten(1)  # (K, 2 N)
    target = truth.clamp(-4, 4).flatten(1)
    squares = placed.square().sum(1) + target.square().sum(1, keepdim=True) - 2 * target @ placed.mT
    return (squares.clamp(min=0) / len(points)).sqrt() / 2


def local_correlation_loss(trace: Trace, moving: Images, fixed: Images) -> Tensor:
    """1 less the mean local correlation of the pictures once they lie on each other, where they share enough."""
    last = trace.estimates[-1]
    warped, inside = laid(last.transform, last.theta, view(moving, 64))
    return 1 - local_correlation(warped, view(fixed, 64), inside).mean()


def local_correlation(a: Images, b: Images, inside: Tensor, window: int = 9) -> Float[Tensor, " b"]:
    """Normalised cross-correlation within windows, over what is inside, weighted by what the windows show."""

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window, 1, window // 2, count_include_pad=False)

    share = mean(inside).clamp(min=1e-3)
    first, second = mean(a * inside) / share, mean(b * inside) / share
    both = mean(a * b * inside) / share - first * second
    of_a = (mean(a.square() * inside) / share - first.square()).clamp(min=0)
    of_b = (mean(b.square() * inside) / share - second.square()).clamp(min=0)
    correlation = both / (of_a * of_b + 1e-4).sqrt()
    weight = inside * (of_b + 1e-3)
    return (correlation * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-3)
