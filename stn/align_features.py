"""What an aligner compares: features of places, how far each is to be trusted, and how well two pictures agree."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Features = Float[Tensor, "b c u v"]
Weights = Float[Tensor, "b 1 u v"]

_EPSILON = 0.1
"""Length of features below which a place counts as empty."""


class Encoder(nn.Module):
    """Features at every second pixel, or every fourth, of at most unit length; the image is continued by its border.

    Args:
        channels: of the features.
        factor: pixels of the image for each place along an axis, 2 or 4.
        first: channels of the first of both convolutions.
    """

    def __init__(self, channels: int, factor: int = 2, first: int = 8) -> None:
        super().__init__()
        self.reach = 3
        self.first = nn.Conv2d(1, first, 4, stride=2)
        self.second = nn.Conv2d(first, channels, 3 if factor == 2 else 4, stride=factor // 2)

    def forward(self, images: Float[Tensor, "b 1 h w"]) -> Features:
        features = F.relu(self.first(F.pad(images, (self.reach,) * 4, mode="replicate")))
        features = self.second(features)
        return features / (features.square().sum(1, keepdim=True) + _EPSILON**2).sqrt()


class Trust(nn.Module):
    """How far each place is to be trusted, in (0, 1): little where one picture shows what the other does not."""

    def __init__(self, channels: int, units: int = 12) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2 * channels, units, 1), nn.ReLU(), nn.Conv2d(units, 1, 1))

    def forward(self, warped: Features, fixed: Features) -> Weights:
        return torch.sigmoid(self.layers(torch.cat([(warped - fixed).abs(), warped * fixed], dim=1)) + 1)


class Agreement(nn.Module):
    """How sure it is, as a logit, that two pictures lie on each other, from a few numbers on their features."""

    def __init__(self, units: int = 12) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, units), nn.ReLU(), nn.Linear(units, 1))

    def forward(self, warped: Features, fixed: Features, inside: Weights, trust: Weights) -> Float[Tensor, " b"]:
        warped, fixed, trust = warped.detach(), fixed.detach(), trust.detach()
        overlap = inside.mean((1, 2, 3))
        local, presence = _local_correlation(warped, fixed, inside)
        numbers = torch.stack(
            [
                _correlation(warped, fixed, inside),
                (local * presence).sum(1) / presence.sum(1),
                ((local > 0.6) * presence).sum(1) / presence.sum(1),
                overlap,
                (trust * inside).mean((1, 2, 3)) / overlap.clamp(min=0.01),
            ],
            dim=1,
        )
        return self.layers(numbers).squeeze(1)


def _correlation(a: Features, b: Features, inside: Weights) -> Float[Tensor, " b"]:
    """Of all features about their means, over what is inside."""
    total = inside.sum((2, 3), keepdim=True).clamp(min=1)
    a = (a - (a * inside).sum((2, 3), keepdim=True) / total) * inside
    b = (b - (b * inside).sum((2, 3), keepdim=True) / total) * inside
    both = (a * b).sum((1, 2, 3))
    return both / (a.square().sum((1, 2, 3)) * b.square().sum((1, 2, 3)) + 1e-6).sqrt()


def _local_correlation(a: Features, b: Features, inside: Weights) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The same in each of 4x4 parts, and how much each part shows."""
    side = max(a.shape[2] // 4, 1)

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, side)

    share = mean(inside).clamp(min=1e-3)
    first, second = mean(a * inside) / share, mean(b * inside) / share
    both = (mean(a * b * inside) / share - first * second).sum(1)
    of_a = (mean(a.square() * inside) / share - first.square()).sum(1)
    of_b = (mean(b.square() * inside) / share - second.square()).sum(1)
    shown = (of_a.clamp(min=0) * of_b.clamp(min=0) + 1e-6).sqrt()
    presence = (torch.maximum(of_a, of_b).clamp(min=0) + 1e-4) * share.squeeze(1)
    return (both / shown).clamp(-1, 1).flatten(1), presence.flatten(1)
