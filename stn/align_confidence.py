"""How sure an aligner is of what it found, judged when all is done: from what agrees, and how small the pictures are."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

NUMBERS = 10
"""Of the evidence on a pair."""
PARTS = 4
"""Along each side, within which the pictures are compared part by part."""
Evidence = Float[Tensor, "b 10"]


class Confidence(nn.Module):
    """The logit of the confidence, from the evidence on a pair.

    Small pictures agree by chance once one of them has been moved to fit, and more so the smaller they are, so what drives
    the search is no measure of whether they belong together. A fresh one, and that of a model file which has none, adds
    nothing to the logit that drove the search.
    """

    def __init__(self, units: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(NUMBERS, units)
        self.last = nn.Linear(units, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, evidence: Evidence) -> Float[Tensor, " b"]:
        added = self.last(F.relu(self.first(evidence.clamp(-3, 3)))).squeeze(1)
        return 2 * evidence[:, 0] + added


def evidence(
    logit: Float[Tensor, " b"],
    size: float,
    pictures: tuple[Tensor, Tensor, Tensor],
    features: tuple[Tensor, Tensor, Tensor],
    trust: Tensor,
) -> Evidence:
    """What speaks for a pair, each number about between -3 and 3; the first is half the logit.

    Args:
        logit: that drove the search.
        size: log2 of the pictures' side against the finest one that is looked at, at most 0.
        pictures: the warped one, the fixed one, (B, 1, S, S) each, and where the warped one reaches, 0 to 1.
        features: the same for their features.
        trust: how far each place is trusted.
    """
    inside = features[2]
    overlap = inside.mean((1, 2, 3))
    trusted = (trust * inside).mean((1, 2, 3)) / overlap.clamp(min=0.01)
    rest = [number for pair in (pictures, features) for number in _agreement(*pair)]
    return torch.stack(
        [logit / 2, overlap, 2.5 + trusted.clamp(min=0.01).log(), torch.full_like(logit, size), *rest], dim=1
    )


def _agreement(a: Tensor, b: Tensor, inside: Tensor) -> list[Float[Tensor, " b"]]:
    """How near to 1 the correlation is, of all and within parts in the mean, and how far from it parts are: logarithms."""
    side = max(a.shape[2] // PARTS, 1)
    seen = F.avg_pool2d(inside, side)
    sums = torch.stack([F.avg_pool2d(each * inside, side) for each in (a, b, a * b, a * a, b * b)])  # (5, B, C, 4, 4)
    whole, _ = _correlation(sums.mean((3, 4), keepdim=True), seen.mean((2, 3), keepdim=True))
    parts, shown = _correlation(sums, seen)
    share = shown / shown.sum(1, keepdim=True)
    worst = ((1 - parts).square() * share).sum(1).sqrt()
    return [_near(1 - whole.squeeze(1)), _near(1 - (parts * share).sum(1)), _near(worst)]


def _near(distance: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """3 for no distance from 1, about -1 for what is unlike."""
    return -1 - (distance.clamp(min=0) + 0.02).log()


def _correlation(
    sums: Float[Tensor, "5 b c u v"], seen: Float[Tensor, "b 1 u v"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The correlation about the means in each part, and how much each shows, of sums over what is inside."""
    of_a, of_b, both, a_squared, b_squared = (sums / seen.clamp(min=1e-3)).unbind()
    covariance = (both - of_a * of_b).sum(1)
    a_varies, b_varies = (
        (squared - mean.square()).clamp(min=0).sum(1) for squared, mean in ((a_squared, of_a), (b_squared, of_b))
    )
    correlation = (covariance / (a_varies * b_varies + 1e-4).sqrt()).clamp(-1, 1)
    shown = (torch.maximum(a_varies, b_varies) + 1e-4) * seen.squeeze(1)
    return correlation.flatten(1), shown.flatten(1)
