"""From a config to the network it describes."""

from torch import nn

from stn.choice import choose
from stn.classifiers import Classifier, conv_features
from stn.config import InputConfig, ModelConfig, require
from stn.localization import LOCALIZATIONS
from stn.normalise import Normalise
from stn.spatial_transformer import SpatialTransformer
from stn.transforms import TRANSFORMS


def build_model(config: ModelConfig, images: InputConfig, classes: int) -> Classifier:
    """A fresh network for these images and this number of classes; its transformer starts at the identity.

    >>> digits = InputConfig(channels=1, height=28, width=28, mean=(0.1,), std=(0.3,))
    >>> model = build_model(ModelConfig(transform="similarity"), digits, classes=10)
    >>> logits, transformed = model(torch.rand(2, 1, 28, 28))
    >>> logits.shape, transformed.theta.shape
    (torch.Size([2, 10]), torch.Size([2, 4]))
    """
    require(2 <= classes <= 65536, "classes", "in [2, 65536]", classes)
    normalise = Normalise(images.mean, images.std)
    if config.classifier == "cnn":
        return Classifier(
            None, normalise, conv_features(images.channels, images.size, config.filters, config.units, classes)
        )
    size = config.size or images.size
    features = conv_features(images.channels, size, config.filters, config.units, classes)
    return Classifier(_transformer(config, images, size), normalise, features)


def _transformer(config: ModelConfig, images: InputConfig, size: tuple[int, int]) -> SpatialTransformer:
    transform = choose(TRANSFORMS, config.transform, "transform")()
    localization = choose(LOCALIZATIONS, config.localization, "localization")(images.channels, images.size, transform)
    return SpatialTransformer(nn.Sequential(Normalise(images.mean, images.std), localization), transform, size)
