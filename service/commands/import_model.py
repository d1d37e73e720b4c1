"""`stn models import`: a model file made of weights that something else trained."""

import json
import sys
from pathlib import Path
from typing import Literal

from service.commands.export import check_new_file
from stn import ModelInfo, build_model, read_model_info, save_model
from stn.config import InputConfig, ModelConfig, from_dict, require
from stn.flux_weights import load_flux_weights

Source = Literal["flux"]
LARGEST_DESCRIPTION = 2**20
"""Bytes of a file that describes a network."""


def import_model(file: Path, source: Source, like: Path | None, config: Path | None, output: Path | None) -> int:
    """Write a model file with the weights of this file and the network that another file describes."""
    if (like is None) == (config is None):
        raise ValueError("one of --like MODEL.safetensors and --config MODEL.json must say what the network is")
    path = output or Path(file.name.split(".")[0] + ".model.safetensors")
    if path.suffix != ".safetensors":
        raise ValueError(f"output must end in .safetensors, got {path.name!r}")
    described = read_model_info(like) if like else _read_description(config or Path())
    info = ModelInfo(
        config=described.config,
        input=described.input,
        class_names=described.class_names,
        provenance={"command": f"stn models import {file.name} --from {source}"},
    )
    network = build_model(info.config, info.input, len(info.class_names))
    load_flux_weights(file, network)
    check_new_file(path)
    save_model(path, network, info)
    sys.stdout.write(f"{path}\n")
    return 0


def _read_description(path: Path) -> ModelInfo:
    """The network that a JSON file describes: an object with config, input and class_names."""
    with open(path, "rb") as file:
        text = file.read(LARGEST_DESCRIPTION + 1)
    require(len(text) <= LARGEST_DESCRIPTION, "config", f"a file of at most {LARGEST_DESCRIPTION} bytes", str(path))
    try:
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != {"config", "input", "class_names"}:
            raise ValueError("it must be an object with config, input and class_names, and nothing else")
        names = values["class_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
            raise ValueError("class_names must be a list of texts")
        return ModelInfo(
            config=from_dict(ModelConfig, values["config"], "config"),
            input=from_dict(InputConfig, values["input"], "input"),
            class_names=tuple(names),
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None
