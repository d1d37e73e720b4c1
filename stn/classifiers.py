"""Networks that name what an image shows, with or without a transformer in front."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from stn.networks import Network
from stn.normalise import Normalise
from stn.spatial_transformer import SpatialTransformer, Transformed
from stn.types import Images, Logits


class Classified(NamedTuple):
    """What a classifier gives."""

    logits: Logits
    """One score per class; softmax makes them probabilities."""
    transformed: Transformed | None
    """The images the class layers saw, with theta and grid; None where the network has no transformer."""


class Classifier(nn.Module):
    """Images in [0, 1] in, class scores out: transformer, average pooling, normalisation, network, class layer.

    Args:
        transformer: what straightens the images, or None.
        normalise: of the transformed images.
        network: the pieces between image and class layer; see `stn.networks`.
        classes: the class layer, `class_layer(...)`.
        pool: factor by which the transformed images are averaged before the network sees them.
        shared: whether the transformer's localization net reads the network's trunk. The trunk then sees every image
            twice, untransformed and transformed, with the same weights; what is transformed is the image. The running
            statistics of its batch norms, where it has any, are then those of both.
        theta_to_classes: whether the class layer reads theta behind the network's vector.
        channels: of the images; others are a ValueError, where it is given.
        size: (height, width) of the images, likewise.
    """

    def __init__(
        self,
        transformer: SpatialTransformer | None,
        normalise: Normalise,
        network: Network,
        classes: nn.Module,
        *,
        pool: int = 1,
        shared: bool = False,
        theta_to_classes: bool = False,
        channels: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.normalise = normalise
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.trunk = network.trunk
        self.head = network.head
        self.classes = classes
        self.shared = shared
        self.theta_to_classes = theta_to_classes
        self.channels = channels
        self.size = size

    def forward(self, images: Images, theta: Tensor | None = None) -> Classified:
        """Class scores, and what the class layers saw.

        Args:
            images: (B, C, H, W) in [0, 1].
            theta: what to use instead of the transformer's own, (B, P); its localization net is then not asked.
        """
        self._check(images)
        if self.transformer is None:
            if theta is not None:
                raise ValueError("theta must be None where the network has no transformer")
            return Classified(self.classes(self.head(self._features(images))), None)
        if theta is None:
            transformed = self.transformer(images, self._features(images) if self.shared else None)
        else:
            transformed = self.transformer.place(images, theta)
        vector = self.head(self._features(transformed.images))  # (B, F)
        if self.theta_to_classes:
            vector = torch.cat([vector, transformed.theta.to(vector.dtype)], dim=-1)  # (B, F + P)
        return Classified(self.classes(vector), transformed)

    def _check(self, images: Tensor) -> None:
        channels = self.channels is None or images.shape[1:2] == (self.channels,)
        if images.ndim != 4 or not channels or self.size not in (None, tuple(images.shape[2:])):
            height, width = self.size or ("H", "W")
            shape = f"(B, {self.channels or 'C'}, {height}, {width})"
            raise ValueError(f"images must have shape {shape} for this network, got {tuple(images.shape)}")

    def _features(self, images: Images) -> Tensor:
        """What the trunk makes of these images: maps (B, C, H, W), or vectors (B, C)."""
        return self.trunk(self.normalise(self.pool(images)))


def class_layer(features: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """A vector in, one score per class out; in training a share of the vector is dropped."""
    layers: list[nn.Module] = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(features, classes))
