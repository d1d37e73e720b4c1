"""Localization nets: images in, theta out, starting at the identity or at a theta of one's own.

Images of another shape than a net was made for are a ValueError; a pooled net takes them in every size. Any module that
gives (B, P) can stand in their place.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stn.config import require
from stn.convolution import Conv2d
from stn.coordinates import check_size
from stn.finite import can_look
from stn.pooling import MaxPool2d
from stn.transforms import Transform
from stn.types import Images, Theta
from stn.unpadded import Unpadded


class ConvLocalization(nn.Module):
    """Average pooling by 2, conv 5x5, max pooling, conv 5x5, dense, theta.

    After Jaderberg et al. 2015, A.2, with the convolutions padded, so that any image of at least 4x4 passes, and with
    pooling before ReLU, which gives the same numbers for a quarter of the work.

    Args:
        channels: of the images.
        size: (height, width) of the images.
        transform: whose theta is predicted.
        filters: channels of both convolutions.
        units: width of the dense layer.
        pooled: (height, width) that the last features are averaged to; the weights then fit images of every size.
        start: the theta (P,) that every image gets before training; the identity by default.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        transform: Transform,
        filters: int = 20,
        units: int = 20,
        *,
        pooled: tuple[int, int] | None = None,
        start: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        self.sees = _Sees.of(channels, size, pooled, least=4)
        _check_count(filters, "filters")
        _check_count(units, "units")
        pooling, places = _pool((size[0] // 4, size[1] // 4), pooled)
        self.features = nn.Sequential(
            nn.AvgPool2d(2),
            Conv2d(channels, filters, 5, padding=2),
            MaxPool2d(2),
            nn.ReLU(),
            Conv2d(filters, filters, 5, padding=2),
            nn.ReLU(),
            pooling,
            nn.Flatten(),
            nn.Linear(filters * places, units),
            nn.ReLU(),
        )
        self.theta = theta_layer(units, transform, start)

    def forward(self, images: Images) -> Theta:
        return self.theta(self.features(self.sees.check(images, "images")))


class DenseLocalization(nn.Module):
    """Three dense layers and theta; the recipe of Jaderberg et al. 2015, A.2, for fully connected networks.

    The arguments are those of `ConvLocalization`; `pooled` averages the images themselves.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        transform: Transform,
        units: int = 32,
        *,
        pooled: tuple[int, int] | None = None,
        start: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        self.sees = _Sees.of(channels, size, pooled)
        _check_count(units, "units")
        pooling, places = _pool(size, pooled)
        self.features = nn.Sequential(
            pooling,
            nn.Flatten(),
            nn.Linear(channels * places, units),
            nn.ReLU(),
            nn.Linear(units, units),
            nn.ReLU(),
            nn.Linear(units, units),
            nn.ReLU(),
        )
        self.theta = theta_layer(units, transform, start)

    def forward(self, images: Images) -> Theta:
        return self.theta(self.features(self.sees.check(images, "images")))


class TutorialLocalization(nn.Module):
    """Conv 7x7 of 8 channels, max pooling, conv 5x5 of 10, max pooling, dense, theta, without padding.

    Takes images of at least 18x18. Source: https://docs.pytorch.org/tutorials/intermediate/spatial_transformer_tutorial.html.
    The arguments are those of `ConvLocalization`.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        transform: Transform,
        units: int = 32,
        *,
        pooled: tuple[int, int] | None = None,
        start: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        self.sees = _Sees.of(channels, size, pooled, least=18)
        _check_count(units, "units")
        height, width = (((side - 6) // 2 - 4) // 2 for side in size)
        pooling, places = _pool((height, width), pooled)
        self.features = Unpadded(
            Conv2d(channels, 8, 7),
            MaxPool2d(2),
            nn.ReLU(),
            Conv2d(8, 10, 5),
            MaxPool2d(2),
            nn.ReLU(),
            pooling,
            nn.Flatten(),
            nn.Linear(10 * places, units),
            nn.ReLU(),
        )
        self.theta = theta_layer(units, transform, start)

    def forward(self, images: Images) -> Theta:
        return self.theta(self.features(self.sees.check(images, "images")))


class SharedLocalization(nn.Module):
    """One dense layer and theta on what the first layers of a classifier make of the untransformed image.

    The transformer still samples the image: features of an image cannot be turned or rescaled into those of the turned or
    rescaled image. Source: Finnveden et al. 2020, "Understanding when spatial transformer networks do not support
    invariance, and what to do about it".

    Args:
        channels: of the features.
        size: (height, width) of the features; (1, 1) where they are vectors (B, channels).
        transform: whose theta is predicted.
        units: width of the dense layer.
        pooled: (height, width) that the features are averaged to; the weights then fit images of every size.
        start: the theta (P,) that every image gets before training; the identity by default.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        transform: Transform,
        units: int = 20,
        *,
        pooled: tuple[int, int] | None = None,
        start: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        self.sees = _Sees.of(channels, size, pooled)
        _check_count(units, "units")
        pooling, places = _pool(size, pooled)
        self.features = nn.Sequential(pooling, nn.Flatten(), nn.Linear(channels * places, units), nn.ReLU())
        self.theta = theta_layer(units, transform, start)

    def forward(self, features: Float[Tensor, "b *places"]) -> Theta:
        return self.theta(self.features(self.sees.check(features, "features")))


LOCALIZATIONS: dict[
    str, type[ConvLocalization] | type[DenseLocalization] | type[SharedLocalization] | type[TutorialLocalization]
] = {
    "conv": ConvLocalization,
    "dense": DenseLocalization,
    "shared": SharedLocalization,
    "tutorial": TutorialLocalization,
}


class ThetaLayer(nn.Linear):
    """A dense layer that autocast leaves in the precision of its weights: float16 would move theta by pixels."""

    def forward(self, features: Float[Tensor, "b f"]) -> Theta:
        kind = features.device.type
        if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
            return F.linear(features, self.weight, self.bias)
        with torch.autocast(kind, enabled=False):
            return F.linear(features.to(self.weight.dtype), self.weight, self.bias)


def theta_layer(features: int, transform: Transform, start: Sequence[float] | Tensor | None = None) -> ThetaLayer:
    """The last layer of a localization net: zero weights, and as bias the identity theta or the start that is given."""
    require(isinstance(transform, Transform), "transform", "a Transform, such as stn.Affine()", transform)
    _check_count(features, "features")
    count = len(transform.parameter_names)
    bias = transform.identity() if start is None else torch.as_tensor(start)
    if bias.shape != (count,):
        raise ValueError(f"start must have shape ({count},) for {type(transform).__name__}, got {tuple(bias.shape)}")
    require(not can_look(bias) or bool(bias.isfinite().all()), "start", "finite", start)
    layer = ThetaLayer(features, count)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(bias)
    return layer


class _Sees(NamedTuple):
    """What a localization net was made for."""

    channels: int
    size: tuple[int, int] | None
    """Height and width; None where any will do."""

    @classmethod
    def of(cls, channels: int, size: tuple[int, int], pooled: tuple[int, int] | None, least: int = 1) -> "_Sees":
        """It, or a ValueError where there can be no such net."""
        _check_count(channels, "channels")
        size = check_size(size, least=least)
        return cls(channels, None if pooled else size)

    def check(self, seen: Tensor, name: str) -> Tensor:
        """What is to be seen, or a ValueError that says what shape it must have."""
        shape = (*seen.shape, 1, 1) if seen.ndim == 2 and self.size == (1, 1) else tuple(seen.shape)
        if len(shape) != 4 or shape[1] != self.channels or self.size not in (None, shape[2:]):
            height, width = self.size or ("H", "W")
            rule = f"(B, {self.channels}, {height}, {width}) for this localization net"
            raise ValueError(f"{name} must have shape {rule}, got {tuple(seen.shape)}")
        return seen


def _check_count(count: int, name: str) -> None:
    require(type(count) is int and count >= 1, name, "a whole number of at least 1", count)


def _pool(size: tuple[int, int], pooled: tuple[int, int] | None) -> tuple[nn.Module, int]:
    """The layer that averages features of this size to the pooled one, where one is asked for, and the places left."""
    if pooled is None:
        return nn.Identity(), size[0] * size[1]
    height, width = check_size(pooled, "pooled")
    return nn.AdaptiveAvgPool2d((height, width)), height * width
