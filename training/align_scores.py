"""How well an aligner lays pictures on each other whose true transform is known."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.aggregation import CatMetric

from stn.align_views import laid, view
from stn.aligner import Aligner
from stn.transforms import Projective
from stn.types import Images, Points
from training.align_loss import CLOSE, FAR, SIDE, distances, local_correlation, points_like
from training.pair_config import PairConfig
from training.pairs import DrawnPairs

_EDGE = 8
"""Points on each side of an outline."""


class Scored(NamedTuple):
    """Of each pair of a batch."""

    loss: Float[Tensor, " b"]
    distance: Float[Tensor, " b"]
    """Mean distance of points, in pixels of the view."""
    overlap: Float[Tensor, " b"]
    """Intersection over union of the outlines that theta and the truth give the fixed view in the moving one."""
    confidence: Float[Tensor, " b"]
    still: Float[Tensor, " b"]
    """The distance where nothing is moved."""
    still_overlap: Float[Tensor, " b"]


@torch.no_grad()
def score_pairs(aligner: Aligner, moving: Images, fixed: Images, drawn: DrawnPairs, config: PairConfig) -> Scored:
    """What the aligner makes of these pairs at the first look, and what doing nothing does."""
    theta, logit = aligner.glance(moving, fixed)
    transform = aligner.transform
    truth = drawn.truth(points_like(moving).expand(len(moving), -1, -1))
    off = distances(transform, theta, truth).mean(1) / 2
    pixels = max(fixed.shape[2:])
    loss = config.points * FAR * torch.tanh(off * SIDE / FAR)
    if config.photometric:
        warped, inside = laid(transform, theta, view(moving, 64))
        loss = loss + config.photometric * (1 - local_correlation(warped, view(fixed, 64), inside))
    edge = border(moving).expand(len(moving), -1, -1)
    wanted = drawn.truth(edge)
    plain = Projective()
    still = plain.identity().to(theta).expand(len(theta), -1)
    return Scored(
        loss,
        off * pixels,
        outline_overlap(transform(theta, edge), wanted),
        logit.sigmoid(),
        distances(plain, still, truth).mean(1) / 2 * pixels,
        outline_overlap(edge, wanted),
    )


def border(like: Tensor) -> Float[Tensor, "n 2"]:
    """Points around the border of an image, clockwise from the upper left corner."""
    edge = (2 * torch.arange(_EDGE, dtype=like.dtype, device=like.device) - _EDGE) / _EDGE
    end = torch.ones_like(edge)
    return torch.stack([torch.cat([edge, end, -edge, -end]), torch.cat([-end, edge, end, -edge])], dim=-1)


def outline_overlap(a: Points, b: Points, side: int = 48, reach: float = 3.0) -> Float[Tensor, " b"]:
    """Intersection over union of two outlines, counted on a lattice of side x side points within +-reach.

    >>> square = border(torch.zeros(1))[None]
    >>> outline_overlap(square, square / 2).round(decimals=2)
    tensor([0.2500])
    """
    steps = torch.linspace(-reach, reach, side, dtype=a.dtype, device=a.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    in_a, in_b = (_within(x.flatten(), y.flatten(), outline) for outline in (a, b))
    union = (in_a | in_b).sum(1)
    return torch.where(union > 0, (in_a & in_b).sum(1) / union.clamp(min=1), torch.zeros_like(a[:, 0, 0]))


def _within(x: Tensor, y: Tensor, outline: Points) -> Bool[Tensor, "b m"]:
    """Whether each point lies within: a ray to the right crosses the outline an odd number of times."""
    inside = torch.zeros(len(outline), len(x), dtype=torch.bool, device=x.device)
    for start, end in zip(outline.unbind(1), outline.roll(-1, 1).unbind(1), strict=True):
        (ax, ay), (bx, by) = start.unsqueeze(2).unbind(1), end.unsqueeze(2).unbind(1)
        crosses = (ay > y) != (by > y)
        height = torch.where(by == ay, torch.ones_like(ay), by - ay)
        inside ^= crosses & (x < (bx - ax) * (y - ay) / height + ax)
    return inside


class AlignScores(nn.Module):
    """What was scored since it was last taken."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")
        self.overlap = MeanMetric(nan_strategy="disable")
        self.still_overlap = MeanMetric(nan_strategy="disable")
        self.confidence = MeanMetric(nan_strategy="disable")
        self.distance = CatMetric(nan_strategy="disable")
        self.still = CatMetric(nan_strategy="disable")

    def update(self, scored: Scored, pixels: int) -> None:
        """Count these pairs, of views with this longer side in pixels."""
        self.loss.update(scored.loss)
        self.overlap.update(scored.overlap)
        self.still_overlap.update(scored.still_overlap)
        right = (scored.distance <= CLOSE * pixels).to(scored.confidence)
        self.confidence.update((scored.confidence - right).square())
        self.distance.update(scored.distance)
        self.still.update(scored.still)

    def take(self, stage: str) -> dict[str, Any]:
        """Means and quantiles by name; what begins with `identity` is that of doing nothing."""
        distance, still = (_flat(metric.compute()) for metric in (self.distance, self.still))
        values = {
            "loss": self.loss.compute(),
            **_of(distance, ""),
            "outline": self.overlap.compute(),
            "confidence_error": self.confidence.compute(),
            **_of(still, "identity_"),
            "identity_outline": self.still_overlap.compute(),
        }
        for metric in self.children():
            metric.reset()  # type: ignore[operator]
        return {f"{stage}/{name}": value for name, value in values.items()}


def _flat(values: Any) -> Tensor:
    found: Tensor = torch.cat(values) if isinstance(values, list) else values
    return found.flatten().float()


def _of(distance: Tensor, start: str) -> dict[str, Tensor]:
    return {
        f"{start}distance": distance.mean(),
        f"{start}distance_p95": distance.quantile(0.95),
        f"{start}within_1px": (distance < 1).float().mean(),
    }
