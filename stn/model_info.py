"""What a model file says of its network, which is read and written without torch.

The metadata hold JSON texts under `stn.version`, `stn.config`, `stn.input`, `stn.class_names`, `stn.scores` and
`stn.provenance`.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from stn.align_config import AlignerConfig
from stn.config import InputConfig, ModelConfig, from_dict, require, to_dict

FORMAT_VERSION = 3


class ModelFileError(ValueError):
    """The file is not a model file that this version reads; the message says why."""


class OtherTask(ModelFileError):
    """A model file of a network that does something else than it was asked for.

    Args:
        path: of the file.
        task: what the network does.
    """

    def __init__(self, path: str | os.PathLike[str], task: "Task") -> None:
        super().__init__(f"{path}: {DOES[task]}")
        self.task: Task = task


Task = Literal["classify", "align"]
DOES: dict[Task, str] = {
    "classify": "this model names what a picture shows (task classify); it lays no picture on another",
    "align": "this model lays one picture on another (task align); it names no classes",
}


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

    @property
    def task(self) -> Task:
        return "classify"

    def __post_init__(self) -> None:
        require(len(self.class_names) >= 2, "class_names", "at least 2 names", self.class_names)
        for name, score in self.scores.items():
            require(math.isfinite(score), f"scores.{name}", "finite", score)
        require(len(set(self.class_names)) == len(self.class_names), "class_names", "all different", self.class_names)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AlignerInfo:
    """What a model file says of an aligner; its config has the task among its fields, which tells it from a classifier's."""

    config: AlignerConfig
    """The network."""
    input: InputConfig
    """The images it was trained on; it takes every size of at least 8x8, and looks at the mean of the channels."""
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What was measured at the end of training, by name."""
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Where the weights come from: command, commit, seed, versions."""

    @property
    def task(self) -> Task:
        return "align"

    def __post_init__(self) -> None:
        for name, score in self.scores.items():
            require(math.isfinite(score), f"scores.{name}", "finite", score)


def to_metadata(info: ModelInfo | AlignerInfo) -> dict[str, str]:
    """What a model file's metadata say of the network, as texts by name."""
    return {
        "stn.version": str(FORMAT_VERSION),
        "stn.config": json.dumps(to_dict(info.config)),
        "stn.input": json.dumps(to_dict(info.input)),
        "stn.class_names": json.dumps(info.class_names if isinstance(info, ModelInfo) else []),
        "stn.scores": json.dumps(dict(info.scores)),
        "stn.provenance": json.dumps(dict(info.provenance)),
    }


def read_model_info(path: str | os.PathLike[str]) -> ModelInfo:
    """What the file says of its classifier, without loading the weights; a ModelFileError where it is no model file.

    Raises:
        OtherTask: it is an aligner's.
    """
    return classifier_info(path, read_info(path))


def read_aligner_info(path: str | os.PathLike[str]) -> AlignerInfo:
    """What the file says of its aligner; the reverse of `read_model_info`."""
    return aligner_info(path, read_info(path))


def read_info(path: str | os.PathLike[str]) -> ModelInfo | AlignerInfo:
    """What the file says of its network, whatever its task; a ModelFileError where it is no model file."""
    with open_model_file(path, "numpy") as file:
        return from_metadata(path, file.metadata() or {})


def classifier_info(path: str | os.PathLike[str], info: ModelInfo | AlignerInfo) -> ModelInfo:
    """What is known of a classifier, or `OtherTask`."""
    if not isinstance(info, ModelInfo):
        raise OtherTask(path, info.task)
    return info


def aligner_info(path: str | os.PathLike[str], info: ModelInfo | AlignerInfo) -> AlignerInfo:
    """What is known of an aligner, or `OtherTask`."""
    if not isinstance(info, AlignerInfo):
        raise OtherTask(path, info.task)
    return info


def open_model_file(path: str | os.PathLike[str], framework: Literal["pt", "numpy"]) -> Any:
    """The safetensors file, open, whose tensors are torch's or numpy's; a ModelFileError where it is none."""
    try:
        return safe_open(path, framework=framework)
    except SafetensorError as error:
        with open(path, "rb") as file:
            start = file.read(9)
        # A safetensors file starts with the length of its header, which may look like anything, and a brace.
        if (start[:2] == b"PK" or start[:1] == b"\x80") and start[8:] != b"{":
            raise ModelFileError(
                f"{path}: this is a pickle (a torch checkpoint?), which can run code; only safetensors is read"
            ) from None
        raise ModelFileError(f"{path}: not a complete safetensors file ({error})") from None


def from_metadata(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> ModelInfo | AlignerInfo:
    """What was written by `to_metadata`; a ModelFileError, which names the path, where the texts are not such."""
    version = metadata.get("stn.version")
    if version is None:
        raise ModelFileError(f"{path}: a safetensors file, but not one of ours (no stn.version in its metadata)")
    if version != str(FORMAT_VERSION):
        raise ModelFileError(f"{path}: format version must be {FORMAT_VERSION}, got {version}")
    try:
        config = json.loads(metadata["stn.config"])
        images = from_dict(InputConfig, json.loads(metadata["stn.input"]), "input")
        class_names = _names(json.loads(metadata["stn.class_names"]))
        scores = {str(name): float(value) for name, value in json.loads(metadata["stn.scores"]).items()}
        provenance = {str(name): str(value) for name, value in json.loads(metadata["stn.provenance"]).items()}
        if isinstance(config, dict) and config.get("task") == "align":
            aligner = from_dict(AlignerConfig, config, "config")
            return AlignerInfo(config=aligner, input=images, scores=scores, provenance=provenance)
        return ModelInfo(
            config=from_dict(ModelConfig, config, "config"),
            input=images,
            class_names=class_names,
            scores=scores,
            provenance=provenance,
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
