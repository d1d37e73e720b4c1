"""A config in words, for people to read: what it says beyond the defaults."""

import dataclasses
import platform
from collections.abc import Sequence
from typing import Any

import torch

from stn import ModelInfo
from training.config import DataConfig, DistortionConfig, TrainingConfig


def describe(config: Any, always: Sequence[str] = ()) -> str:
    """The fields that differ from their defaults, and these whether or not they do.

    >>> describe(DistortionConfig(rotation=45.0, size=(42, 42)))
    'rotation 45.0, size 42 42'
    """
    entries = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if field.name in always or value != default:
            entries.append(_text(value) if field.name == "name" else f"{field.name.replace('_', ' ')} {_text(value)}")
    return ", ".join(entries)


def report_title(name: str, data: str, part: str) -> str:
    """The heading of a report.

    >>> report_title("digits", "folder", "all")
    'digits on all pictures of folder'
    """
    return f"{name} on {'all' if part == 'all' else f'the {part}'} pictures of {data}"


def model_facts(info: ModelInfo) -> dict[str, str]:
    """The network and where it comes from."""
    size = f"{info.input.height}x{info.input.width}, {info.input.channels} channel" + "s" * (info.input.channels != 1)
    return {
        "network": describe(info.config, ("classifier", "transform")),
        "input": size,
        **{f"trained: {name}": value for name, value in info.provenance.items()},
    }


def data_facts(data: DataConfig, distortion: DistortionConfig, part: str) -> dict[str, str]:
    """The pictures that a model was evaluated on."""
    return {"data": describe(data, ("name",)), "part": part, "distortion": describe(distortion) or "none"}


def run_facts(config: TrainingConfig, info: ModelInfo, part: str) -> dict[str, str]:
    """Everything on a run that its report tells."""
    return {
        **data_facts(config.data, config.distortion, part),
        **model_facts(info),
        "optimizer": describe(config.optimizer, ("name", "learning_rate")),
        "trainer": describe(config.trainer, ("batch_size",)),
        "evaluated with": f"torch {torch.__version__}, {platform.machine()}",
    }


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
