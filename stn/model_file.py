"""One trained network in one `.safetensors` file: weights, and all that is needed to use them.

The metadata hold JSON texts under `stn.version`, `stn.config`, `stn.input`, `stn.class_names`, `stn.scores` and
`stn.provenance`. Nothing in the file can run code.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from stn.build import build_model
from stn.classifiers import Classifier
from stn.config import InputConfig, ModelConfig, from_dict, require, to_dict
from stn.whole_file import written_beside

FORMAT_VERSION = 3


class ModelFileError(ValueError):
    """The file is not a model file that this version reads; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model file says of its network."""

    config: ModelConfig
    """The network."""
    input: InputConfig
    """The images it takes."""
    class_names: tuple[str, ...]
    """The name of each class, in the order of the logits."""
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What was measured at the end of training, by name."""
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Where the weights come from: command, commit, seed, versions."""

    def __post_init__(self) -> None:
        require(len(self.class_names) >= 2, "class_names", "at least 2 names", self.class_names)
        for name, score in self.scores.items():
            require(math.isfinite(score), f"scores.{name}", "finite", score)
        require(len(set(self.class_names)) == len(self.class_names), "class_names", "all different", self.class_names)


def save_model(path: str | os.PathLike[str], model: Classifier, info: ModelInfo) -> None:
    """Write the network and what is known of it; the file is complete or absent, whatever interrupts the writing."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with written_beside(path) as beside:
        save_file(tensors, beside, to_metadata(info))


def to_metadata(info: ModelInfo) -> dict[str, str]:
    """What a model file's metadata say of the network, as texts by name."""
    return {
        "stn.version": str(FORMAT_VERSION),
        "stn.config": json.dumps(to_dict(info.config)),
        "stn.input": json.dumps(to_dict(info.input)),
        "stn.class_names": json.dumps(info.class_names),
        "stn.scores": json.dumps(dict(info.scores)),
        "stn.provenance": json.dumps(dict(info.provenance)),
    }


def read_model_info(path: str | os.PathLike[str]) -> ModelInfo:
    """What the file says of its network, without loading the weights; a ModelFileError where it is no model file."""
    with _open(path) as file:
        return _read_info(path, file.metadata() or {})


def load_model(path: str | os.PathLike[str]) -> Classifier:
    """The network in this file, in evaluation mode on the CPU; a ModelFileError where it is no model file.

    The weights' names, shapes and types are compared with the network that the file describes before any memory is
    taken for it.
    """
    with _open(path) as file:
        info = _read_info(path, file.metadata() or {})
        try:
            with torch.device("meta"):
                expected = build_model(info.config, info.input, len(info.class_names)).state_dict()
        except ValueError as error:
            raise ModelFileError(f"{path}: {error}") from None
        _compare(path, expected, file)
        weights = {name: file.get_tensor(name) for name in expected}
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ModelFileError(f"{path}: {name} holds numbers that are not finite")
    model = build_model(info.config, info.input, len(info.class_names))
    model.load_state_dict(weights)
    return model.eval()


def _open(path: str | os.PathLike[str]) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        with open(path, "rb") as file:
            start = file.read(9)
        # A safetensors file starts with the length of its header, which may look like anything, and a brace.
        if (start[:2] == b"PK" or start[:1] == b"\x80") and start[8:] != b"{":
            raise ModelFileError(
                f"{path}: this is a pickle (a torch checkpoint?), which can run code; only safetensors is read"
            ) from None
        raise ModelFileError(f"{path}: not a complete safetensors file ({error})") from None


def _read_info(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> ModelInfo:
    version = metadata.get("stn.version")
    if version is None:
        raise ModelFileError(f"{path}: a safetensors file, but not one of ours (no stn.version in its metadata)")
    if version != str(FORMAT_VERSION):
        raise ModelFileError(f"{path}: format version must be {FORMAT_VERSION}, got {version}")
    try:
        return ModelInfo(
            config=from_dict(ModelConfig, json.loads(metadata["stn.config"]), "config"),
            input=from_dict(InputConfig, json.loads(metadata["stn.input"]), "input"),
            class_names=_names(json.loads(metadata["stn.class_names"])),
            scores={str(name): float(value) for name, value in json.loads(metadata["stn.scores"]).items()},
            provenance={str(name): str(value) for name, value in json.loads(metadata["stn.provenance"]).items()},
        )
    except KeyError as error:
        raise ModelFileError(f"{path}: {error.args[0]} is missing from the metadata") from None
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path}: {error}") from None


def _names(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("class_names must be a list of texts")
    for value in values:
        require(value.isprintable(), "class_names", "printable", value)
    return tuple(values)


def _compare(path: str | os.PathLike[str], expected: Mapping[str, torch.Tensor], file: Any) -> None:
    found = set(file.keys())
    if found != set(expected):
        names = ", ".join(sorted(found ^ set(expected))[:5])
        raise ModelFileError(f"{path}: the weights are not those of the network it describes ({names})")
    for name, tensor in expected.items():
        part = file.get_slice(name)
        if tuple(part.get_shape()) != tuple(tensor.shape):
            raise ModelFileError(f"{path}: {name} must have shape {tuple(tensor.shape)}, got {tuple(part.get_shape())}")
        if part.get_dtype() != _DTYPES[tensor.dtype]:
            raise ModelFileError(f"{path}: {name} must be {_DTYPES[tensor.dtype]}, got {part.get_dtype()}")


_DTYPES = {torch.float32: "F32", torch.int64: "I64"}
