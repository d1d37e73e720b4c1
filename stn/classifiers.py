"""Networks that name what an image shows, with or without a transformer in front."""

from typing import NamedTuple

from torch import nn

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
    """Images in [0, 1] in, class scores out: transformer, normalisation, features, class layers."""

    def __init__(self, transformer: SpatialTransformer | None, normalise: Normalise, features: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.normalise = normalise
        self.features = features

    def forward(self, images: Images) -> Classified:
        if self.transformer is None:
            return Classified(self.features(self.normalise(images)), None)
        transformed = self.transformer(images)
        return Classified(self.features(self.normalise(transformed.images)), transformed)


def conv_features(
    channels: int, size: tuple[int, int], filters: tuple[int, ...], units: int, classes: int
) -> nn.Sequential:
    """Blocks of conv 5x5, batch norm, ReLU and max pooling by 2, then a dense layer and the classes."""
    layers: list[nn.Module] = []
    height, width = size
    for count in filters:
        layers += [
            nn.Conv2d(channels, count, 5, padding=2, bias=False),
            nn.BatchNorm2d(count),
            nn.MaxPool2d(2),
            nn.ReLU(),
        ]
        channels, height, width = count, height // 2, width // 2
    if height < 1 or width < 1:
        raise ValueError(f"filters must be few enough for a {size[0]}x{size[1]} image to be halved, got {filters}")
    layers += [nn.Flatten(), nn.Linear(channels * height * width, units), nn.ReLU(), nn.Linear(units, classes)]
    return nn.Sequential(*layers)
