"""What teaches an aligner how sure it is: pairs of every size, and pairs that have nothing in common."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from stn.aligner import Aligner
from stn.types import Images, Sampled
from training.align_loss import CLOSE, distances, points_like
from training.pair_config import PairConfig
from training.pairs import DrawnPairs

_LEAST = 8
"""Pixels of the smallest views that an aligner takes."""


def shrunk(pictures: Images, config: PairConfig, chance: torch.Generator) -> Sampled:
    """The pictures in a size between that whose views are the smallest there are and their own, each doubling as likely."""
    height, width = pictures.shape[2:]
    least = min(1.0, _LEAST / (min(height, width) * config.view))
    factor = math.exp(math.log(least) * float(torch.rand((), generator=chance, device=chance.device)))
    size = [max(_LEAST, round(side * factor)) for side in (height, width)]
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)


@torch.no_grad()
def confidence_examples(
    aligner: Aligner, moving: Images, fixed: Images, drawn: DrawnPairs, unlike: Bool[Tensor, " b"]
) -> tuple[Float[Tensor, "n 10"], Float[Tensor, " n"]]:
    """Evidence on each of these pairs, and whether it was laid right: the pairs themselves, the moving picture of each with
    the fixed one of the next, where those are unlike, and a picture with itself."""
    count = len(moving)
    movings = torch.cat([moving, moving.roll(1, 0)[unlike], fixed[:1]])
    fixeds = torch.cat([fixed, fixed[unlike], fixed[:1]])
    theta, logit = aligner.look(movings, fixeds)
    truth = drawn.truth(points_like(moving).expand(count, -1, -1))
    close = distances(aligner.transform, theta[:count], truth).mean(1) < 2 * CLOSE
    wanted = torch.zeros_like(logit)
    wanted[:count], wanted[-1] = close.to(wanted), 1.0
    return aligner.evidence(movings, fixeds, theta, logit), wanted


def confidence_loss(
    aligner: Aligner, moving: Images, fixed: Images, drawn: DrawnPairs, unlike: Bool[Tensor, " b"]
) -> Tensor:
    """How ill the confidence tells which of these pairs are laid right; only the confidence itself learns from it."""
    evidence, wanted = confidence_examples(aligner, moving, fixed, drawn, unlike)
    return F.binary_cross_entropy_with_logits(aligner.confidence(evidence), wanted)
