"""The network that lays one picture on another: search, then corrections from coarse to fine."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from stn.align_confidence import Confidence, Evidence, evidence
from stn.align_config import AlignerConfig
from stn.align_features import Agreement, Encoder, Features, Trust, Weights
from stn.align_search import SIDE, Found, Search
from stn.align_step import Correction, carry
from stn.align_views import check_pair, generator_of, laid, view
from stn.coordinates import lattice
from stn.finite import can_look
from stn.grid import GridGenerator
from stn.places import predicted
from stn.sampler import sample_at
from stn.transforms import TRANSFORMS, ThinPlateSpline, Transform
from stn.types import Grid, Images, Sampled, Theta

_TRIED, _KEPT = 8, 2
"""Times as many candidates for a second look, and how many of them, against the first look's, go on to the finest level."""
_SURE = 1.0
"""The logit of the confidence beyond which a second look counts."""
_AGAIN = 16
"""Pairs that are looked at again together, for the memory that they take."""
_SHARED, _NEVER = 0.15, -20.0
"""The least share of the fixed image that has to lie on the moving one, and the logit of a confidence where less does."""


class Aligned(NamedTuple):
    """What an aligner gives."""

    images: Sampled
    """The moving images, sampled where the fixed ones show the same."""
    theta: Theta
    """Of the last transform: maps points of the fixed image to points of the moving one."""
    grid: Grid
    """The point of the moving image for every pixel of the fixed one."""
    confidence: Float[Tensor, " b"]
    """In [0, 1]: the estimated probability that points are on average within 3 % of the side of where they belong."""


class Estimate(NamedTuple):
    """theta on the way."""

    transform: Transform
    theta: Theta


class Trace(NamedTuple):
    """All that training looks at."""

    found: Found
    estimates: list[Estimate]
    """The start of the corrections, and theta after each."""
    logit: Float[Tensor, " b"]
    """Of the confidence."""


class Aligner(nn.Module):
    """Lays a moving image on a fixed one, which both show the same from elsewhere.

    A search over rotations, sizes and shifts begins; then each level, from coarse to fine, corrects theta some times with
    the same weights. Every look is at the original moving image (brought to the level's size) under the theta so far, whose
    maps are composed: what was sampled is never sampled again. A correction is a Gauss-Newton step on learnt features
    (Chang et al. 2017, CLKN; Baker and Matthews 2004), so identical pictures stay where they are.

    It takes images of every size and any number of channels, whose mean it looks at.

    Args:
        config: what it is made of.

    >>> aligner = stn.Aligner(stn.AlignerConfig(transforms=("similarity", "affine"))).eval()
    >>> fixed = torch.rand(2, 1, 40, 40)
    >>> images, theta, grid, confidence = aligner(fixed, fixed)
    >>> images.shape, theta.shape, grid.shape, confidence.shape
    (torch.Size([2, 1, 40, 40]), torch.Size([2, 6]), torch.Size([2, 40, 40, 2]), torch.Size([2]))
    """

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.config = config
        self.transforms = nn.ModuleList(_transform(name, config.lattice) for name in config.transforms)
        self.search = Search(config, self._first)
        self.encoder = Encoder(config.channels)
        self.trust = Trust(config.channels)
        self.agreement = Agreement()
        self.confidence = Confidence()
        self.damping = nn.Parameter(torch.full((len(config.levels),), -3.0))
        self.generators = nn.ModuleDict()
        self.corrections = nn.ModuleDict()
        for level, side in enumerate(config.levels):
            for index in self._cascade(level):
                transform = self._transform(index)
                self.generators[f"{side} {index}"] = GridGenerator(transform, (side, side))
                self.corrections[f"{side} {index}"] = Correction(transform, side // 2)

    @property
    def transform(self) -> Transform:
        """The one whose theta is the answer."""
        return self._transform(len(self.transforms) - 1)

    def forward(self, moving: Images, fixed: Sampled) -> Aligned:
        """The moving images laid on the fixed ones.

        Args:
            moving: (B, C, H, W), in [0, 1].
            fixed: of the same shape.

        Raises:
            ValueError: shapes or dtypes differ, or an image is flat, which says nothing about where anything lies.
        """
        check_pair(moving, fixed)
        for name, images in (("moving", moving), ("fixed", fixed)):
            if images.dtype != self.damping.dtype:
                raise ValueError(f"{name} must be {self.damping.dtype}, as the aligner is, got {images.dtype}")
        theta, logit = self.locate(moving, fixed)
        generator = generator_of(self.transform, (fixed.shape[2], fixed.shape[3]), theta.device)
        grid = generator(theta)
        images = sample_at(moving, predicted(generator, theta, grid), "bilinear", "zeros", None, 1)
        return Aligned(images, theta, grid, logit.sigmoid())

    def locate(self, moving: Images, fixed: Images) -> tuple[Theta, Float[Tensor, " b"]]:
        """theta, and the logit of the confidence, without the images.

        A pair that it is not sure of is looked at again from more starts, which are told apart on the finest level; what
        that finds counts where it is sure of it.
        """
        theta, logit = self.look(moving, fixed)
        return theta, self.confidence(self.evidence(moving, fixed, theta, logit))

    def glance(self, moving: Images, fixed: Images) -> tuple[Theta, Float[Tensor, " b"]]:
        """What `locate` finds at the first look, in the same time for every pair."""
        theta, logit = self._best(moving, fixed, self.config.candidates, 1)
        return theta, self.confidence(self.evidence(moving, fixed, theta, logit))

    def look(self, moving: Images, fixed: Images) -> tuple[Theta, Float[Tensor, " b"]]:
        """theta as of `locate`, and the logit by which it was chosen among others; it is no measure of how sure that is."""
        count = self.config.candidates
        theta, logit = self._best(moving, fixed, count, 1)
        if not can_look(logit) or bool((logit >= 0).all()):
            return theta, logit
        for some in (logit < 0).nonzero().flatten().split(_AGAIN):
            other, sure = self._best(moving[some], fixed[some], _TRIED * count, _KEPT * count)
            better = sure > _SURE
            theta = theta.index_put((some[better],), other[better])
            logit = logit.index_put((some[better],), sure[better])
        return theta, logit

    @torch.no_grad()
    def evidence(self, moving: Images, fixed: Images, theta: Theta, logit: Float[Tensor, " b"]) -> Evidence:
        """What the confidence is judged by, for what `look` found."""
        longest, side = max(fixed.shape[2:]), self._sides(fixed)[-1]
        both = self._view(moving, fixed, side)
        warped, inside = laid(self.transform, theta, both[0])
        features = self.encoder(warped), self.encoder(both[1])
        size = min(0.0, math.log2(longest / self.config.levels[-1]))
        shown = (*features, F.avg_pool2d(inside, 2))
        return evidence(logit, size, (warped, both[1], inside), shown, self.trust(*features))

    def _best(self, moving: Images, fixed: Images, tried: int, kept: int) -> tuple[Theta, Float[Tensor, " b"]]:
        """theta and logit of the best of so many finds of the search, of which some are kept beyond the coarsest level."""
        views = self._views(moving, fixed)
        found = self.search(*self._view(moving, fixed, SIDE))
        best = found.logits.topk(min(tried, found.logits.shape[1]), dim=1).indices  # (B, K)
        start = Estimate(self._first, self._first.from_matrix(found.matrices[best.flatten()]))
        both = _repeated(views[0], best.shape[1])
        estimates, fixed_features = self._level(0, both, start)
        logit = self._judge(0, both, fixed_features, estimates[-1]).view(best.shape)
        estimate, logit = _chosen(estimates[-1], logit, kept)
        for level in range(1, len(views)):
            both = _repeated(views[level], logit.shape[1])
            estimates, fixed_features = self._level(level, both, estimate)
            estimate = estimates[-1]
        if len(views) > 1:
            logit = self._judge(len(views) - 1, both, fixed_features, estimate).view(logit.shape)
        logit = logit.masked_fill(~_overlap(estimate).view(logit.shape), _NEVER)
        estimate, logit = _chosen(estimate, logit, 1)
        return carry(estimate.transform, estimate.theta, self.transform), logit.squeeze(1)

    def trace(self, moving: Images, fixed: Images, choose: Callable[[Tensor], Tensor]) -> Trace:
        """theta on the way.

        Args:
            moving: as for `forward`.
            fixed: as for `forward`.
            choose: which of the search's movements (B,) the corrections begin at, from its logits (B, K).
        """
        views = self._views(moving, fixed)
        found = self.search(*self._view(moving, fixed, SIDE))
        start = found.matrices[choose(found.logits.detach())]
        all_estimates = [Estimate(self._first, self._first.from_matrix(start))]
        for level, both in enumerate(views):
            estimates, fixed_features = self._level(level, both, all_estimates[-1])
            all_estimates += estimates
        logit = self._judge(len(views) - 1, views[-1], fixed_features, all_estimates[-1])
        return Trace(found, all_estimates, logit)

    def _level(self, level: int, view: tuple[Tensor, Tensor], start: Estimate) -> tuple[list[Estimate], Tensor]:
        """theta after each correction on this level, and the features of the fixed image."""
        side, (moving, image) = self.config.levels[level], view
        fixed = self.encoder(image)
        damping = self.damping[level].exp()
        estimates, estimate = [], start
        for index in self._cascade(level):
            transform, key = self._transform(index), f"{side} {index}"
            estimate = Estimate(transform, carry(estimate.transform, estimate.theta, transform))
            for _ in range(self.config.steps[level]):
                warped, inside = self._look(moving, estimate.theta, key)
                weights = self.trust(warped, fixed) * inside
                theta = self.corrections[key](estimate.theta, warped, fixed, weights, damping)
                estimate = Estimate(transform, theta)
                estimates.append(estimate)
        return estimates, fixed

    def _judge(
        self, level: int, view: tuple[Tensor, Tensor], fixed: Features, estimate: Estimate
    ) -> Float[Tensor, " b"]:
        """How sure it is that the pictures lie on each other, as a logit."""
        key = f"{self.config.levels[level]} {self._cascade(level)[-1]}"
        warped, inside = self._look(view[0], estimate.theta, key)
        return self.agreement(warped, fixed, inside, self.trust(warped, fixed))

    def _look(self, moving: Tensor, theta: Theta, key: str) -> tuple[Features, Weights]:
        """Features of the moving image under theta, and which places it reaches."""
        grid = self.generators[key](theta)
        warped = F.grid_sample(moving, grid, padding_mode="border", align_corners=False)
        inside = (grid.detach().abs().amax(-1) <= 1).to(warped.dtype).unsqueeze(1)
        return self.encoder(warped), F.avg_pool2d(inside, 2)

    def _views(self, moving: Images, fixed: Images) -> list[tuple[Tensor, Tensor]]:
        return [self._view(moving, fixed, side) for side in self._sides(fixed)]

    def _sides(self, fixed: Images) -> list[int]:
        """Of the levels that are looked at for images of this size."""
        longest = max(fixed.shape[2:])
        return [side for level, side in enumerate(self.config.levels) if level == 0 or side <= 1.25 * longest]

    def _view(self, moving: Images, fixed: Images, side: int) -> tuple[Tensor, Tensor]:
        return view(moving, side), view(fixed, side)

    def _cascade(self, level: int) -> range:
        """Which transforms a level corrects: the first alone, then all of them, then the last alone."""
        count = len(self.transforms)
        if len(self.config.levels) == 1:
            return range(count)
        return (range(1), range(count))[level] if level < 2 else range(count - 1, count)

    @property
    def _first(self) -> Transform:
        return self._transform(0)

    def _transform(self, index: int) -> Transform:
        transform = self.transforms[index]
        assert isinstance(transform, Transform)
        return transform


def _repeated(view: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    """Both images of each pair so many times, one after the other."""
    return view[0].repeat_interleave(count, 0), view[1].repeat_interleave(count, 0)


def _overlap(estimate: Estimate) -> Bool[Tensor, " b"]:
    """Whether enough of the fixed image lies on the moving one: the little that a torn one shows may agree by chance."""
    points = lattice((8, 8), dtype=estimate.theta.dtype, device=estimate.theta.device)
    placed: Tensor = estimate.transform(estimate.theta, points.expand(len(estimate.theta), -1, -1))
    return (placed.detach().abs().amax(-1) <= 1).float().mean(1) >= _SHARED


def _chosen(estimate: Estimate, logit: Float[Tensor, "b k"], count: int) -> tuple[Estimate, Float[Tensor, "b n"]]:
    """The surest of each pair's estimates (B K, P), at most so many."""
    best = logit.topk(min(count, logit.shape[1]), dim=1)
    first = logit.shape[1] * torch.arange(len(logit), device=logit.device)
    return estimate._replace(theta=estimate.theta[(best.indices + first[:, None]).flatten()]), best.values


def _transform(name: str, lattice: tuple[int, int]) -> Transform:
    return ThinPlateSpline(lattice) if name == "thin_plate_spline" else TRANSFORMS[name]()
