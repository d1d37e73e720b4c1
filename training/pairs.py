"""Pairs of views of a picture, whose true transform is known."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stn.places import given
from stn.sampler import sample_at
from stn.transforms.matrix import square
from stn.transforms.product import product
from stn.types import Images, Points
from training.distortions import Distortions
from training.pair_config import PairConfig
from training.points import control_points, points_of
from training.straightness import undistorted


class DrawnPairs(NamedTuple):
    """What is drawn for a batch, one row per pair."""

    crop: Float[Tensor, "b 3 3"]
    """From points of the moving view to points of the picture."""
    matrix: Float[Tensor, "b 3 3"]
    """From points of the fixed view to points of the moving one."""
    spline: Float[Tensor, "b 32"] | None
    """What a fixed point goes through before the matrix."""
    light: Float[Tensor, "b 2 3"]
    """Brightness, contrast and noise of both views."""
    boxes: Float[Tensor, "b 5"]
    """Left, upper, right and lower edge of what hides the fixed view, and its value; empty where nothing does."""
    seeds: Tensor
    """(B,): of the noise."""

    def truth(self, points: Points) -> Points:
        """Where points of the fixed views lie in the moving ones."""
        return undistorted(points, Distortions(self.matrix, self.spline, None))


class Pairs(NamedTuple):
    """Two views of each picture."""

    moving: Images
    fixed: Images


def view_size(config: PairConfig, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the views of pictures of this size."""
    height, width = (max(8, round(side * config.view)) for side in size)
    return height, width


def draw_pairs(config: PairConfig, size: tuple[int, int], count: int, generator: torch.Generator) -> DrawnPairs:
    """What makes `count` pairs, on the generator's device; all of it is uniform in its range but for what is bent.

    Args:
        size: (height, width) of the pictures.
    """
    height, width = view_size(config, size)
    numbers = torch.rand(20, count, generator=generator, device=generator.device)
    even = numbers * 2 - 1
    low, high = config.scale
    size_of = torch.exp(math.log(low) + numbers[0] * (math.log(high) - math.log(low)))
    angle = even[1] * math.radians(config.rotation)
    cos, sin = torch.cos(angle) / size_of, torch.sin(angle) / size_of
    aspect = height / width
    x0, y0 = (2 * config.shift * value for value in even[2:4])
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    linear = _matrix([cos, -sin * aspect, zero], [sin / aspect, cos, zero], [zero, zero, one])
    lean = config.perspective / (2 - config.perspective)
    seen = _matrix([one, zero, -x0], [zero, one, -y0], [lean * even[4], lean * even[5], one])
    spline = None
    if config.elastic:
        control = control_points(cos.dtype, cos.device)
        moved = torch.randn(count, *control.shape, generator=generator, device=generator.device)
        spline = (control + 2 * config.elastic * moved).flatten(1)
    light = torch.stack([_light(config, even[6:8], numbers[8]), _light(config, even[9:11], numbers[11])], dim=1)
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device)
    crop = _crop(config, size, numbers[12], even[13:15])
    return DrawnPairs(crop, product(linear, seen), spline, light, _box(config, numbers[15:20]), seeds)


def take_pairs(drawn: DrawnPairs, rows: slice | Tensor) -> DrawnPairs:
    """What is drawn for some of the pairs."""
    spline = None if drawn.spline is None else drawn.spline[rows]
    others = {name: value[rows] for name, value in drawn._asdict().items() if name != "spline"}
    return DrawnPairs(spline=spline, **others)


@torch.no_grad()
def make_pairs(pictures: Images, drawn: DrawnPairs, config: PairConfig, others: Images | None = None) -> Pairs:
    """Both views of each picture, in [0, 1].

    Args:
        pictures: in [0, 1].
        drawn: one row for each.
        others: what the fixed views show instead of the pictures.
    """
    size = view_size(config, (pictures.shape[2], pictures.shape[3]))
    moving = sample_at(pictures, given(points_of(drawn.crop, None, size)), "bilinear", "zeros", None, 1)
    both = product(drawn.crop, drawn.matrix)
    grid = points_of(both, drawn.spline, size)
    fixed = sample_at(pictures if others is None else others, given(grid), "bilinear", "zeros", None, 1)
    fixed = _hidden(fixed, drawn.boxes)
    noise = _noise(drawn.seeds, moving)
    return Pairs(*(_lit(images, drawn.light[:, i], noise[i]) for i, images in enumerate((moving, fixed))))


def _matrix(*rows: list[Tensor]) -> Float[Tensor, "b 3 3"]:
    return torch.stack([value for row in rows for value in row], dim=-1).unflatten(-1, (3, 3))


def _crop(config: PairConfig, size: tuple[int, int], zoom: Tensor, place: Tensor) -> Float[Tensor, "b 3 3"]:
    """A window anywhere in the picture, unless the window is larger, of the views' size times the zoom."""
    low, high = config.zoom
    factor = torch.exp(math.log(low) + zoom * (math.log(high) - math.log(low)))
    zero = torch.zeros_like(zoom)
    across, down = (factor * view / side for view, side in zip(view_size(config, size)[::-1], size[::-1], strict=True))
    x0, y0 = (offset * (1 - share).clamp(min=0) for offset, share in zip(place, (across, down), strict=True))
    return square(torch.stack([across, zero, x0, zero, down, y0], dim=-1).unflatten(-1, (2, 3)))


def _light(config: PairConfig, even: Tensor, share: Tensor) -> Float[Tensor, "b 3"]:
    low, high = (math.log(value) for value in config.contrast)
    contrast = torch.exp(low + (even[1] + 1) / 2 * (high - low))
    return torch.stack([even[0] * config.brightness, contrast, share * config.noise], dim=-1)


def _box(config: PairConfig, numbers: Tensor) -> Float[Tensor, "b 5"]:
    x, y, across, down, value = numbers
    width, height = 2 * config.occlusion * across, 2 * config.occlusion * down
    width = torch.where(value < 0.5, width, -1.0)
    left, upper = 2 * x - 1 - width / 2, 2 * y - 1 - height / 2
    return torch.stack([left, upper, left + width, upper + height, 2 * value], dim=-1)


def _hidden(images: Images, boxes: Float[Tensor, "b 5"]) -> Images:
    b, _, h, w = images.shape
    x = (2 * torch.arange(w, device=images.device) + 1 - w) / w
    y = ((2 * torch.arange(h, device=images.device) + 1 - h) / h)[:, None]
    left, upper, right, lower, value = boxes.view(b, 5, 1, 1, 1).unbind(1)
    hidden = (x >= left) & (x < right) & (y >= upper) & (y < lower)
    return torch.where(hidden, value, images)


def _noise(seeds: Tensor, images: Images) -> Float[Tensor, "2 b c h w"]:
    """Of each pair by itself, so that it is the same whatever else is in its batch."""
    chance = torch.Generator(images.device)
    parts = [
        torch.randn(2, *images.shape[1:], generator=chance.manual_seed(seed), device=images.device)
        for seed in seeds.tolist()
    ]
    return torch.stack(parts, dim=1)


def _lit(images: Images, light: Float[Tensor, "b 3"], noise: Images) -> Images:
    brightness, contrast, amount = light.view(-1, 3, 1, 1, 1).unbind(1)
    mean = images.mean((1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean + brightness + noise * amount).clamp(0, 1)
