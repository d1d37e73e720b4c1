"""What a network is made of, as frozen dataclasses that read from and write to JSON."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputConfig:
    """The images a network takes."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

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

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    classifier: Literal["st_cnn", "cnn"] = "st_cnn"
    """`st_cnn`: a spatial transformer in front of a convolutional network; `cnn`: the same network without it."""
    transform: Literal["affine", "attention", "similarity"] = "affine"
    """What the transformer may do to the image."""
    localization: Literal["conv", "dense"] = "conv"
    """The net that predicts the transform's parameters."""
    size: tuple[int, int] | None = None
    """Height and width of the transformed image; those of the input by default."""
    filters: tuple[int, ...] = (32, 64)
    """Channels of each 5x5 convolution; each is followed by max pooling, which halves the size."""
    units: int = 128
    """Width of the dense layer before the classes."""

    def __post_init__(self) -> None:
        if self.size is not None:
            require(all(1 <= side <= 4096 for side in self.size), "size", "in [1, 4096]", self.size)
        require(1 <= len(self.filters) <= 8, "filters", "1 to 8 numbers", self.filters)
        require(all(1 <= count <= 4096 for count in self.filters), "filters", "in [1, 4096]", self.filters)
        require(1 <= self.units <= 65536, "units", "in [1, 65536]", self.units)


def require(holds: bool, name: str, rule: str, value: object) -> None:
    """A ValueError `name must be rule, got value` unless the rule holds."""
    if not holds:
        raise ValueError(f"{name} must be {rule}, got {value!r}")


def to_dict(config: Any) -> dict[str, Any]:
    """The config as nested dicts, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(cls: type[Config], values: object, path: str = "") -> Config:
    """The config that `to_dict` gave these values, or a ValueError that names the field, the rule and the value.

    >>> from_dict(ModelConfig, {"transform": "attention", "filters": [16]}).filters
    (16,)
    >>> from_dict(ModelConfig, {"tranform": "attention"})
    Traceback (most recent call last):
    ValueError: tranform is not a field of ModelConfig; fields are classifier, transform, localization, size, filters, units
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
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, path)
    if origin is types.UnionType:
        if value is None and types.NoneType in choices:
            return None
        return _read(next(choice for choice in choices if choice is not types.NoneType), value, path)
    if origin is tuple:
        return _read_tuple(choices, value, path)
    if origin is Literal:
        require(value in choices, path, f"one of {', '.join(map(str, choices))}", value)
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        require(abs(value) < 1e300, path, "a number", value)
        return float(value)
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
