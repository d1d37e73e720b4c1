"""What a network is made of, as frozen dataclasses that read from and write to JSON."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from stn.ranges import Range

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputConfig:
    """The images a network takes."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    channels: int
    """Channels: 1 for grey, 3 for RGB, any other number for anything else."""
    height: int
    """Rows of pixels."""
    width: int
    """Columns of pixels."""
    mean: tuple[float, ...]
    """Mean of each channel over images as the network sees them, in [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of each channel over the same images."""
    fit: Literal["pad", "crop", "stretch"] = "pad"
    """How a picture of another size is brought to this one: inside it on black with the sides in proportion, or filling it
    and cut at the edges, or out of proportion."""

    def __post_init__(self) -> None:
        require(1 <= self.channels <= 4096, "channels", "in [1, 4096]", self.channels)
        require(4 <= self.height <= 4096, "height", "in [4, 4096]", self.height)
        require(4 <= self.width <= 4096, "width", "in [4, 4096]", self.width)
        require(len(self.mean) == self.channels, "mean", f"{self.channels} numbers", self.mean)
        require(all(map(math.isfinite, self.mean)), "mean", "finite", self.mean)
        require(len(self.std) == self.channels, "std", f"{self.channels} numbers", self.std)
        require(all(0 < value < math.inf for value in self.std), "std", "positive and finite", self.std)

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The network: a classifier, and the transformer in front of it."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}
    RANGES: ClassVar = {
        "lattice": Range(2, 32),
        "localization_filters": Range(1, 4096),
        "localization_units": Range(1, 65536),
        "localization_pooled": Range(1, 64),
        "localization_rate": Range(0, 1000),
        "gradient_factor": Range(0, 1000),
        "outside_penalty": Range(0, 1_000_000),
        "identity_penalty": Range(0, 1_000_000),
        "iterations": Range(1, 16),
        "size": Range(1, 4096),
        "background": Range(0, 1),
        "antialias": Range(1, 8),
        "pool": Range(1, 64),
        "filters": Range(1, 4096),
        "units": Range(1, 65536),
        "dropout": Range(0, 1, "[)"),
    }

    classifier: Literal[
        "fcn",
        "cnn",
        "convnet",
        "tutorial",
        "resnet18",
        "resnet34",
        "resnet50",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
        "efficientnet_b0",
        "convnext_tiny",
    ] = "convnet"
    """What names the class. `fcn`, `cnn`: the networks of Jaderberg et al. 2015; `convnet`: 5x5 convolutions with batch
    norm; `tutorial`: that of PyTorch's spatial transformer tutorial, for images of at least 18x18; the others: torchvision's
    networks, for images of at least 32x32."""
    transform: Literal[
        "none", "affine", "attention", "similarity", "translation", "rigid", "projective", "thin_plate_spline"
    ] = "affine"
    """What the transformer in front may do to the image; `none` leaves the transformer out."""
    lattice: tuple[int, int] = (4, 4)
    """Rows and columns of control points of `thin_plate_spline`."""
    bounds: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    """The range that a parameter of theta is kept in, by its name or a pattern of names, as in `x*`."""
    localization: Literal["conv", "dense", "shared", "tutorial"] | None = None
    """The net that predicts theta; `shared` reads the classifier's first layers. By default `dense` for `fcn`, `tutorial`
    for `tutorial`, and `conv` for the others."""
    localization_filters: int = 20
    """Channels of both convolutions of the `conv` localization net."""
    localization_units: int | None = None
    """Width of its dense layers: 32 for `dense` and `tutorial` and 20 for the others by default."""
    localization_pooled: tuple[int, int] | None = None
    """Height and width that its features are averaged to, so that its weights fit images of every size; by default that
    is done for torchvision's networks only."""
    localization_rate: float = 1.0
    """Factor on the learning rate of the localization net."""
    gradient_factor: float = 1.0
    """Factor on the gradient that reaches theta."""
    outside_penalty: float = 0.0
    """Weight in the loss of how far the sampled points lie outside the image."""
    identity_penalty: float = 0.0
    """Weight in the loss of how far the sampled points lie from where the identity has them."""
    iterations: int = 1
    """How often the transformer looks at what it made and corrects theta, with the same weights."""
    size: tuple[int, int] | None = None
    """Height and width of the transformed image; those of the input by default."""
    kernel: Literal["integer", "bilinear", "bicubic", "catmull_rom", "lanczos3"] = "bilinear"
    """How a value between pixels is made of the pixels around it."""
    padding: Literal["zeros", "border", "reflection", "constant"] = "zeros"
    """What lies outside the image; `constant` is `background`."""
    background: tuple[float, ...] | None = None
    """One value in [0, 1] per channel, or one for all, for padding `constant`."""
    antialias: int = 1
    """Samples per output pixel along each axis: more than 1 where the transformer shrinks the image."""
    pool: int = 1
    """Factor by which the (transformed) image is averaged before the classifier sees it."""
    filters: tuple[int, ...] | None = None
    """Channels of each convolution: two numbers for `cnn`, by default the equal ones that bring the whole network nearest
    to 400 thousand parameters; two for `tutorial`, (10, 20) by default; one per halving for `convnet`, (32, 64) by
    default."""
    units: int | None = None
    """Width of the dense layers: of both for `fcn`, by default the one that brings the whole network nearest to 400
    thousand parameters; of that before the classes for `convnet`, 128 by default, and `tutorial`, 50."""
    batch_norm: bool | None = None
    """Batch norm after each layer of `fcn` and `cnn`, after each convolution of `tutorial` (off by default) and `convnet`
    (on by default)."""
    dropout: float | None = None
    """Share of the class layer's input that is dropped in training, and of the second convolution's channels of `tutorial`;
    0 by default, 0.5 for `tutorial`, for torchvision's networks theirs."""
    theta_to_classes: bool = False
    """Let the class layer read theta too."""

    def __post_init__(self) -> None:
        require_ranges(self, self.RANGES)
        self._check_transformer()
        self._check_network()

    def _check_transformer(self) -> None:
        require(len(self.bounds) <= 64, "bounds", "at most 64 ranges", self.bounds)
        for name, (low, high) in self.bounds.items():
            require(
                -math.inf < low < high < math.inf,
                f"bounds.{name}",
                "two finite numbers, the smaller first",
                (low, high),
            )
        alone = self.iterations == 1 or self.localization != "shared"
        require(alone, "iterations", "1 where the localization is shared", self.iterations)
        constant = self.padding == "constant"
        require(
            constant == (self.background is not None), "background", "given for padding constant only", self.background
        )
        require(self.background != (), "background", "at least 1 number", self.background)
        theta = not self.theta_to_classes or self.transform != "none"
        require(theta, "theta_to_classes", "false where there is no transformer", self.theta_to_classes)

    def _check_network(self) -> None:
        if self.filters is not None:
            require(1 <= len(self.filters) <= 8, "filters", "1 to 8 numbers", self.filters)
            fits = self.classifier not in ("cnn", "tutorial") or len(self.filters) == 2
            require(fits, "filters", f"2 numbers for classifier {self.classifier}", self.filters)


def require(holds: bool, name: str, rule: str, value: object) -> None:
    """A ValueError `name must be rule, got value` unless the rule holds."""
    if not holds:
        raise ValueError(f"{name} must be {rule}, got {value!r}")


def require_ranges(config: Any, ranges: Mapping[str, Range]) -> None:
    """A ValueError as of `require` for the first field with a number outside its range; None holds no number."""
    for name, allowed in ranges.items():
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        require(all(map(allowed.holds, numbers)), name, str(allowed), value)


def to_dict(config: Any) -> dict[str, Any]:
    """The config as nested dicts, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(cls: type[Config], values: object, path: str = "") -> Config:
    """The config that `to_dict` gave these values, or a ValueError that names the field, the rule and the value.

    >>> from_dict(ModelConfig, {"transform": "attention", "filters": [16]}).filters
    (16,)
    >>> from_dict(ModelConfig, {"tranform": "attention"})
    Traceback (most recent call last):
    ValueError: tranform is not a field of ModelConfig; fields are classifier, transform, ...
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{path or cls.__name__} must be an object of named fields, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    prefix = f"{path}." if path else ""
    for name in values:
        if name not in fields:
            raise ValueError(f"{prefix}{name} is not a field of {cls.__name__}; fields are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{prefix}{name} is missing")
    arguments = {name: _read(hints[name], value, prefix + name) for name, value in values.items()}
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from None


def _read(hint: Any, value: object, path: str) -> Any:
    """The value as this type: what JSON can hold of it is all that is accepted."""
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, path)
    if origin in (types.UnionType, typing.Union):  # the latter for a Literal or None
        if value is None and types.NoneType in choices:
            return None
        return _read(next(choice for choice in choices if choice is not types.NoneType), value, path)
    if origin is tuple:
        return _read_tuple(choices, value, path)
    if origin is dict:
        return _read_dict(choices[1], value, path)
    if origin is Literal:
        require(value in choices, path, f"one of {', '.join(map(str, choices))}", value)
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        require(abs(value) < 1e300, path, "a number", value)
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)  # 3.0 is a whole number in JSON
    require(type(value) is hint, path, _NAMES[hint], value)
    return value


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _read_tuple(choices: tuple[Any, ...], value: object, path: str) -> tuple[Any, ...]:
    require(isinstance(value, list | tuple), path, "a list", value)
    items = list(typing.cast(typing.Iterable[object], value))
    if choices[-1] is Ellipsis:
        choices = (choices[0],) * len(items)
    require(len(items) == len(choices), path, f"a list of {len(choices)}", value)
    return tuple(_read(choice, item, path) for choice, item in zip(choices, items, strict=True))


def _read_dict(hint: Any, value: object, path: str) -> dict[str, Any]:
    require(isinstance(value, Mapping), path, "an object of named values", value)
    items = typing.cast(Mapping[object, object], value).items()
    return {_read(str, name, path): _read(hint, item, f"{path}.{name}") for name, item in items}
