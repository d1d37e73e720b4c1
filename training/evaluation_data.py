"""The labelled pictures that a trained network is evaluated on: its own, or any others."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from stn import InputConfig
from stn.config import from_dict, require, to_dict
from training.config import DataConfig, DistortionConfig, OptimizerConfig, TrainingConfig
from training.data.batches import Batch, FixedBatches
from training.data.datamodule import DataModule
from training.fitted import fit_images
from training.same_data import check_data
from training.trained import Trained, own_data, seed_of

Part = Literal["test", "train", "validation", "all"]


class Request(NamedTuple):
    """What is asked for beyond the network's own test: the fields that are given."""

    data: Mapping[str, Any]
    distortion: Mapping[str, Any]
    part: Part


OWN_TEST = Request({}, {}, "test")


class Pictures(NamedTuple):
    """Labelled pictures, ready to be evaluated."""

    config: TrainingConfig
    """Whose data and distortion they are."""
    parts: list[FixedBatches]
    labels: Int[Tensor, " k"]
    """The network's class for each of the data's."""
    input: InputConfig
    """What the network takes."""

    def __len__(self) -> int:
        return sum(len(part.labels) for part in self.parts)

    def batches(self) -> Iterator[Batch]:
        """The pictures in their order."""
        for part in self.parts:
            for images, labels, *_ in part:
                yield Batch(fit_images(images.float() / 255, self.input), self.labels[labels])


def read_request(path: Path | None) -> Request:
    """What a JSON file asks for: {"data": {...}, "distortion": {...}, "part": "test"}, each of them optional.

    Raises:
        ValueError: it names the file and what is wrong in it.
    """
    if path is None:
        return OWN_TEST
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"config must be a JSON file, got {str(path)!r} ({error})") from None
    require(isinstance(values, dict), "config", "an object of named fields", values)
    for name in values:
        require(name in Request._fields, "config", f"made of {', '.join(Request._fields)}", name)
    request = Request(values.get("data", {}), values.get("distortion", {}), values.get("part", "test"))
    for name, value in (("data", request.data), ("distortion", request.distortion)):
        require(isinstance(value, dict), name, "an object of named fields", value)
    require(request.part in get_args(Part), "part", f"one of {', '.join(get_args(Part))}", request.part)
    return request


def requested_config(trained: Trained, request: Request) -> TrainingConfig:
    """Whose data and distortion are asked for.

    Data that are named are taken as they are, not distorted unless that is asked for. Where no name is given, what is
    given replaces fields of the network's own data and distortion, but for what is done to training pictures alone.
    """
    alone = request.distortion.get("training_elastic", 0)
    require(
        alone == 0, "distortion.training_elastic", "0 where nothing is trained; `elastic` bends these pictures", alone
    )
    if "name" in request.data:
        data = {**_input(trained.info.input, request.data), **request.data}
        base, distortion = trained.config or TrainingConfig(name="evaluation", seed=seed_of(trained)), {}
    else:
        base = own_data(trained)
        data, distortion = {**to_dict(base.data), **request.data}, to_dict(base.distortion) | {"training_elastic": 0.0}
    return dataclasses.replace(
        base,
        data=from_dict(DataConfig, data, "data"),
        distortion=from_dict(DistortionConfig, {**distortion, **request.distortion}, "distortion"),
        optimizer=OptimizerConfig(),  # nothing is trained: what is asked of training does not bind the pictures
    )


def read_pictures(trained: Trained, request: Request) -> Pictures:
    """The pictures that are asked for, their classes matched with the network's by name.

    Raises:
        ValueError: the data are not there, or have a class that the network does not know.
    """
    config = requested_config(trained, request)
    data = DataModule(config)
    if trained.run is not None and not request.data:
        check_data(trained.run, data.data)
    labels = match_classes(data.class_names, trained.info.class_names)
    parts = {"train": data.fixed(data.members, "train"), "validation": data.validation, "test": data.test}
    chosen = [batches for part, batches in parts.items() if request.part in (part, "all")]
    require(any(map(len, chosen)), "data", f"a set with pictures in part {request.part!r}", "none")
    return Pictures(config, chosen, labels, trained.info.input)


def match_classes(data: tuple[str, ...], model: tuple[str, ...]) -> Int[Tensor, " k"]:
    """For each of the data's classes the place of the model's class of that name, or a ValueError that names one.

    >>> match_classes(("owl", "cat"), ("cat", "dog", "owl"))
    tensor([2, 0])
    """
    places = {name: place for place, name in enumerate(model)}
    for name in data:
        if name not in places:
            known = ", ".join(repr(_short(name)) for name in model[:10]) + (", ..." if len(model) > 10 else "")
            raise ValueError(f"data must have classes that the model knows ({known}), got {_short(name)!r}")
    return torch.tensor([places[name] for name in data])


def _input(wanted: InputConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """Where pictures of several sizes are decoded: as the network knows them, not fitted a second time."""
    fields: dict[str, Any] = {}
    if given.get("name") in ("folder", "gtsrb"):
        fields |= {"size": list(wanted.size), "fit": wanted.fit}
    if given.get("name") == "folder" and wanted.channels in (1, 3):
        fields["channels"] = "grey" if wanted.channels == 1 else "colour"
    return fields


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"
