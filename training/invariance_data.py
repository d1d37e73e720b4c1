"""The pictures that are moved: upright and in the middle, as many as are asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from stn.config import from_dict, require
from stn.types import Images
from training.config import TrainingConfig
from training.evaluation_data import Pictures, Request, read_pictures
from training.invariance_config import InvarianceConfig
from training.randomness import generator
from training.trained import Trained
from training.trained_ranges import Ranges, trained_config, trained_ranges

STILL: Mapping[str, Any] = {
    "rotation": 0.0,
    "scale": [1.0, 1.0],
    "translation": False,
    "corners": 0.0,
    "elastic": 0.0,
    "clutter": 0,
}
"""A distortion of which only the size is left."""


class Upright(NamedTuple):
    """Labelled pictures that are not moved."""

    images: Images
    labels: Int[Tensor, " n"]
    config: TrainingConfig
    """Whose data they are."""
    trained: Ranges
    """How far those that the network learnt from were moved."""


def read_invariance_request(path: Path | None) -> tuple[Mapping[str, Any], InvarianceConfig]:
    """What a JSON file asks for: {"data": {...}, "invariance": {...}}, both optional.

    Raises:
        ValueError: it names the file and what is wrong in it.
    """
    if path is None:
        return {}, InvarianceConfig()
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"config must be a JSON file, got {str(path)!r} ({error})") from None
    require(isinstance(values, dict), "config", "an object of named fields", values)
    for name in values:
        require(name in ("data", "invariance"), "config", "made of data, invariance", name)
    data = values.get("data", {})
    require(isinstance(data, dict), "data", "an object of named fields", data)
    return data, from_dict(InvarianceConfig, values.get("invariance", {}))


def read_upright(trained: Trained, data: Mapping[str, Any], config: InvarianceConfig) -> Upright:
    """The pictures that are asked for, not distorted.

    Raises:
        ValueError: the data are not there, have no picture, or a class that the network does not know.
    """
    pictures = read_pictures(trained, Request(data, STILL, config.part))
    images, labels = _chosen(pictures, config)
    learnt = trained_config(trained)
    ranges: Ranges = {}
    if learnt is not None:
        _, _, height, width = pictures.parts[0].images.shape
        ranges = trained_ranges(learnt.distortion, (height, width))
        if "name" in data:  # how large others are in the picture, and where, need not be as it was in training
            ranges = {name: bounds for name, bounds in ranges.items() if name not in ("scale", "shift_x", "shift_y")}
    return Upright(images, labels, pictures.config, ranges)


def _chosen(pictures: Pictures, config: InvarianceConfig) -> tuple[Tensor, Tensor]:
    """Some of the pictures, in their order."""
    count = len(pictures)
    chance = generator(config.seed, "pictures")
    taken = torch.zeros(count, dtype=torch.bool)
    taken[torch.randperm(count, generator=chance)[: config.images]] = True
    images, labels, first = [], [], 0
    for batch in pictures.batches():
        mine = taken[first : first + len(batch.labels)]
        images.append(batch.images[mine])
        labels.append(batch.labels[mine])
        first += len(batch.labels)
    return torch.cat(images), torch.cat(labels)
