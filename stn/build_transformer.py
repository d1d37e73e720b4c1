"""From a config to the transformer it describes."""

from torch import nn

from stn.backbones import BACKBONES
from stn.choice import choose
from stn.config import InputConfig, ModelConfig, require
from stn.localization import (
    LOCALIZATIONS,
    ConvLocalization,
    DenseLocalization,
    SharedLocalization,
    TutorialLocalization,
)
from stn.networks import Network
from stn.normalise import Normalise
from stn.spatial_transformer import SpatialTransformer
from stn.transforms import TRANSFORMS, ThinPlateSpline, Transform

LATTICE_VALUES = 2**22
"""The most pixels of the output, times control points where it is a spline's, that a transformer prepares its grid for.
That takes memory which no weight in a model file pays for, so a small hostile file could ask for any amount."""


def build_transform(config: ModelConfig) -> Transform | None:
    """The transform of the config's choice, or None for `none`."""
    if config.transform == "none":
        return None
    if config.transform == "thin_plate_spline":
        return ThinPlateSpline(config.lattice)
    return choose(TRANSFORMS, config.transform, "transform")()


def build_transformer(
    config: ModelConfig, images: InputConfig, transform: Transform, localization: nn.Module
) -> SpatialTransformer:
    """The transformer with this localization net."""
    size = config.size or images.size
    points = config.lattice[0] * config.lattice[1] if isinstance(transform, ThinPlateSpline) else 1
    most = LATTICE_VALUES // points
    require(size[0] * size[1] <= most, "size", f"at most {most} pixels for {config.transform}", size)
    values = len(config.background or (0.0,))
    require(values in (1, images.channels), "background", f"1 or {images.channels} numbers", config.background)
    if config.iterations > 1 and config.localization_pooled is None:
        rule = "that of the images, or localization_pooled given, for iterations above 1"
        require(size == images.size, "size", rule, size)
    return SpatialTransformer(
        localization,
        transform,
        size,
        kernel=config.kernel,
        padding=config.padding,
        background=config.background,
        antialias=config.antialias,
        bounds=config.bounds,
        iterations=config.iterations,
        gradient_factor=config.gradient_factor,
        localization_rate=config.localization_rate,
        outside_penalty=config.outside_penalty,
        identity_penalty=config.identity_penalty,
    )


def build_localization(config: ModelConfig, images: InputConfig, transform: Transform, network: Network) -> nn.Module:
    """The net of the config's choice; one that sees the image, and not the network's features, sees it normalised."""
    name = config.localization or {"fcn": "dense", "tutorial": "tutorial"}.get(config.classifier, "conv")
    choose(LOCALIZATIONS, name, "localization")
    if name == "shared":
        return _shared_localization(config, images, transform, network)
    units, pooled = config.localization_units, config.localization_pooled
    net: nn.Module
    if name == "dense":
        net = DenseLocalization(images.channels, images.size, transform, units or 32, pooled=pooled)
    elif name == "tutorial":
        net = TutorialLocalization(images.channels, images.size, transform, units or 32, pooled=pooled)
    else:
        pooled = pooled or ((8, 8) if config.classifier in BACKBONES else None)
        filters = config.localization_filters
        net = ConvLocalization(images.channels, images.size, transform, filters, units or 20, pooled=pooled)
    return nn.Sequential(Normalise(images.mean, images.std), net)


def _shared_localization(
    config: ModelConfig, images: InputConfig, transform: Transform, network: Network
) -> SharedLocalization:
    """The net on the network's trunk, which sees the image and the transformed image, and must take both."""
    size, factor = config.size or images.size, config.pool
    divides = all(side % factor == 0 for side in images.size)
    require(divides, "pool", f"a factor of both sides of the {images.height}x{images.width} image", factor)
    pooled = config.localization_pooled or ((4, 4) if config.classifier in BACKBONES else None)
    if config.classifier == "fcn":
        require(pooled is None, "localization_pooled", "left out where a dense trunk is shared", pooled)
    if pooled is None:
        require(size == images.size, "size", "that of the images where a shared localization is not pooled", size)
    fits = size[0] <= images.height and size[1] <= images.width
    require(fits, "size", "at most that of the images where the localization is shared", size)
    units = config.localization_units or 20
    return SharedLocalization(network.channels, network.size, transform, units, pooled=pooled)
