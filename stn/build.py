"""From a config to the network it describes."""

import dataclasses
from collections.abc import Callable

import torch
from torch import nn

from stn.align_config import AlignerConfig
from stn.aligner import Aligner
from stn.backbones import BACKBONES, backbone
from stn.build_transformer import build_localization, build_transform, build_transformer
from stn.choice import choose
from stn.classifiers import Classifier, class_layer
from stn.config import InputConfig, ModelConfig, require
from stn.networks import Network, cnn, convnet, fcn, tutorial
from stn.normalise import Normalise
from stn.transforms import Transform
from stn.widths import nearest_width

PARAMETERS = 400_000
"""Of the paper's networks, whole, where the config leaves their width open."""


def build_model(config: ModelConfig, images: InputConfig, classes: int) -> Classifier:
    """A fresh network for these images and this number of classes; its transformer starts at the identity.

    >>> digits = InputConfig(channels=1, height=28, width=28, mean=(0.1,), std=(0.3,))
    >>> model = build_model(ModelConfig(transform="similarity"), digits, classes=10)
    >>> logits, transformed = model(torch.rand(2, 1, 28, 28))
    >>> logits.shape, transformed.theta.shape
    (torch.Size([2, 10]), torch.Size([2, 4]))
    """
    require(2 <= classes <= 65536, "classes", "in [2, 65536]", classes)
    transform = build_transform(config)
    config = _with_width(config, images, classes, transform)
    network, last, localization = _parts(config, images, classes, transform)
    transformer = None
    if transform is not None and localization is not None:
        transformer = build_transformer(config, images, transform, localization)
    return Classifier(
        transformer,
        Normalise(images.mean, images.std),
        network,
        last,
        pool=config.pool,
        shared=transform is not None and config.localization == "shared",
        theta_to_classes=config.theta_to_classes,
        channels=images.channels,
        size=None if _takes_any_size(config) else images.size,
    )


def build_aligner(config: AlignerConfig) -> Aligner:
    """A fresh aligner; its corrections already work a little, on features that are random.

    >>> build_aligner(AlignerConfig(transforms=("rigid",))).transform.parameter_names
    ('angle', 'x0', 'y0')
    """
    return Aligner(config)


def _takes_any_size(config: ModelConfig) -> bool:
    """Whether the network takes images of other sizes too; a localization net that does not says so itself."""
    pooled = config.transform != "none" and config.localization_pooled is not None
    return pooled or config.classifier in BACKBONES


def _parts(
    config: ModelConfig, images: InputConfig, classes: int, transform: Transform | None
) -> tuple[Network, nn.Module, nn.Module | None]:
    """All that has weights: the network, its class layer, and the localization net where there is a transform."""
    size = images.size if transform is None else config.size or images.size
    divides = all(side % config.pool == 0 for side in size)
    require(divides, "pool", f"a factor of both sides of the {size[0]}x{size[1]} image", config.pool)
    network = choose(NETWORKS, config.classifier, "classifier")(
        config, images.channels, (size[0] // config.pool, size[1] // config.pool)
    )
    theta = len(transform.parameter_names) if transform is not None and config.theta_to_classes else 0
    dropout = network.dropout if config.dropout is None else config.dropout
    last = class_layer(network.features + theta, classes, dropout)
    localization = None if transform is None else build_localization(config, images, transform, network)
    return network, last, localization


def _fcn(config: ModelConfig, channels: int, size: tuple[int, int]) -> Network:
    assert config.units is not None
    return fcn(channels, size, config.units, bool(config.batch_norm))


def _cnn(config: ModelConfig, channels: int, size: tuple[int, int]) -> Network:
    assert config.filters is not None
    first, second = config.filters
    return cnn(channels, size, (first, second), bool(config.batch_norm))


def _convnet(config: ModelConfig, channels: int, size: tuple[int, int]) -> Network:
    return convnet(channels, size, config.filters or (32, 64), config.units or 128, config.batch_norm is not False)


def _tutorial(config: ModelConfig, channels: int, size: tuple[int, int]) -> Network:
    first, second = config.filters or (10, 20)
    dropout = 0.5 if config.dropout is None else config.dropout
    return tutorial(channels, size, (first, second), config.units or 50, bool(config.batch_norm), dropout)


def _backbone(config: ModelConfig, channels: int, size: tuple[int, int]) -> Network:
    return backbone(config.classifier, channels, size)


NETWORKS: dict[str, Callable[[ModelConfig, int, tuple[int, int]], Network]] = {
    "fcn": _fcn,
    "cnn": _cnn,
    "convnet": _convnet,
    "tutorial": _tutorial,
    **dict.fromkeys(BACKBONES, _backbone),
}


def _with_width(config: ModelConfig, images: InputConfig, classes: int, transform: Transform | None) -> ModelConfig:
    """The config with a width for the paper's networks, chosen by the number of parameters where it leaves it open."""

    def widened(width: int) -> ModelConfig:
        if config.classifier == "fcn":
            return dataclasses.replace(config, units=width)
        return dataclasses.replace(config, filters=(width, width))

    def count(width: int) -> int:
        with torch.device("meta"):  # shapes without memory
            network, *others = _parts(widened(width), images, classes, transform)
        return sum(_parameters(module) for module in (network.trunk, network.head, *others) if module is not None)

    field = {"fcn": "units", "cnn": "filters"}.get(config.classifier)
    if field is None or getattr(config, field) is not None:
        return config
    return widened(nearest_width(count, PARAMETERS, field))


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
