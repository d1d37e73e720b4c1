"""The first guess of an aligner: the best of many rotations, sizes and shifts, all of which are tried."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stn.align_config import AlignerConfig
from stn.align_features import Encoder, Features
from stn.constants import Constants, on_cpu
from stn.coordinates import lattice
from stn.transforms import MatrixTransform, Transform, warp_affine
from stn.types import Images

SIDE, CELLS = 32, 8
"""Pixels of the images that are searched, and places of their features."""
_ROTATION, _SCALE = 15.0, 1.3
"""Degrees, and a factor, between neighbours."""


class Found(NamedTuple):
    """What the search makes of a batch."""

    logits: Float[Tensor, "b q"]
    """How well each of the tried movements fits."""
    matrices: Float[Tensor, "q 2 3"]
    """The movements, from points of the fixed image to points of the moving one."""


class Search(nn.Module):
    """Tries every rotation, size and shift of a lattice of them, and says how well each fits.

    The moving image is turned and scaled, never its features; a convolution then compares the features of each with those
    of the fixed image at every shift, over what both show.
    """

    def __init__(self, config: AlignerConfig, transform: Transform, channels: int = 16) -> None:
        super().__init__()
        self.encoder = Encoder(channels, SIDE // CELLS)
        self.sharpness = nn.Parameter(torch.tensor(3.0))
        self.overlap = nn.Parameter(torch.tensor(0.5))
        self.reach = max(0, math.ceil(config.shift * CELLS - 1e-6))
        with on_cpu():  # also where the network is made on another device
            turned = _turned(config, transform)
            inside = _inside(_grid(turned, CELLS))
            self.count = len(turned)
            self.matrices = _Tensor(_shifted(turned, self.reach))
            self.grid = _Tensor(_grid(turned, SIDE))
            self.inside = _Tensor(inside)
            seen = _shifts(torch.ones(1, 1, CELLS, CELLS, dtype=inside.dtype), self.reach).flatten(2)[0].mT
            self.seen = _Tensor(seen)
            self.shared = _Tensor(inside.flatten(1) @ seen / CELLS**2)  # the share of places that both images show

    def forward(self, moving: Float[Tensor, "b 1 s s"], fixed: Float[Tensor, "b 1 s s"]) -> Found:
        b, k = len(moving), self.count
        grid = self.grid.get(moving)  # (1, K s, s, 2): one grid for all images, which are its channels
        turned = F.grid_sample(moving.transpose(0, 1), grid, padding_mode="border", align_corners=False)
        turned = turned.reshape(b * k, 1, SIDE, SIDE)
        features = self.encoder(torch.cat([turned, fixed]))
        tried, features = features[: b * k].unflatten(0, (b, k)), features[b * k :]
        return Found(self._logits(tried, features), self.matrices.get(moving))

    def _logits(self, tried: Float[Tensor, "b k c u v"], fixed: Features) -> Float[Tensor, "b q"]:
        b = len(tried)
        inside = self.inside.get(fixed)  # (K, h, w)
        tried = tried * inside[:, None]
        shifted = _shifts(fixed, self.reach)  # (B, D, C, h, w)
        seen = self.seen.get(fixed)  # (h w, D)
        both = tried.flatten(2) @ shifted.flatten(2).mT  # (B, K, D)
        of_tried = tried.square().sum(2).flatten(2) @ seen
        of_fixed = inside.flatten(1) @ shifted.square().sum(2).flatten(2).mT
        correlation = both / (of_tried * of_fixed + 1e-3).sqrt()
        shared = self.shared.get(fixed)  # (K, D)
        logits = self.sharpness.exp() * correlation + self.overlap.exp() * shared.clamp(min=0.05).log()
        return logits.view(b, -1)


class _Tensor(Constants):
    """A constant that is known from the start."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self._known = values.detach().clone()
        self.values = self._known.to(torch.get_default_dtype())

    def compute(self, dtype: torch.dtype) -> Tensor:
        return self._known.to(dtype)


def _turned(config: AlignerConfig, transform: Transform) -> Float[Tensor, "k 2 3"]:
    """Rotations and sizes, the identity among them; those that the transform cannot express are left out."""
    angles = _spread(-config.rotation, config.rotation, _ROTATION)
    low, high = (math.log(factor) for factor in config.scale)
    sizes = [math.exp(-value) for value in _spread(low, high, math.log(_SCALE))]
    rows = []
    for angle in angles:
        for size in sizes:
            cos, sin = size * math.cos(math.radians(angle)), size * math.sin(math.radians(angle))
            rows.append([[cos, -sin, 0.0], [sin, cos, 0.0]])
    matrices = torch.tensor(rows, dtype=torch.float64)
    if isinstance(transform, MatrixTransform):
        expressed = transform.matrix(transform.from_matrix(matrices))[:, :2]
        matrices = matrices[(expressed - matrices).abs().amax((1, 2)) < 1e-6]
    return matrices


def _spread(low: float, high: float, step: float) -> list[float]:
    """Numbers around 0, at most so far apart, whose outermost lie half a step inside the range."""
    below, above = (round(abs(side) / step - 0.01) for side in (low, high))
    under = [low * (index + 1) / (below + 0.5) for index in range(below)][::-1]
    return [*under, 0.0, *(high * (index + 1) / (above + 0.5) for index in range(above))]


def _shifted(turned: Float[Tensor, "k 2 3"], reach: int) -> Float[Tensor, "q 2 3"]:
    """Each of them after each shift: T(p) = A (p + d)."""
    steps = torch.arange(-reach, reach + 1, dtype=turned.dtype) * (2 / CELLS)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    shift = torch.stack([x.flatten(), y.flatten()])  # (2, D)
    ends = turned[:, :, :2] @ shift + turned[:, :, 2:]  # (K, 2, D)
    linear = turned[:, None, :, :2].expand(-1, shift.shape[1], -1, -1)
    return torch.cat([linear, ends.mT.unsqueeze(-1)], dim=-1).flatten(0, 1)


def _grid(turned: Float[Tensor, "k 2 3"], side: int) -> Float[Tensor, "1 q s 2"]:
    points = lattice((side, side), dtype=turned.dtype).expand(len(turned), -1, -1)
    return warp_affine(turned, points).reshape(1, len(turned) * side, side, 2)


def _inside(grid: Float[Tensor, "1 q s 2"]) -> Float[Tensor, "k s s"]:
    """1 where a turned image shows the moving one."""
    return (grid.abs().amax(-1) <= 1).double().view(-1, CELLS, CELLS)


def _shifts(features: Images, reach: int) -> Float[Tensor, "b d c u v"]:
    """The features at n - d for each place n and each shift d, x fastest, zero outside."""
    windows = F.pad(features, (reach,) * 4).unfold(2, CELLS, 1).unfold(3, CELLS, 1)  # (B, C, D_y, D_x, h, w)
    return windows.flip(2, 3).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
