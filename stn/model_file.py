"""One trained network in one `.safetensors` file: weights, and all that is needed to use them.

What the metadata hold is told in `stn.model_info`. Nothing in the file can run code.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file

from stn.aligner import Aligner
from stn.build import build_aligner, build_model
from stn.classifiers import Classifier
from stn.model_info import (
    AlignerInfo,
    ModelFileError,
    ModelInfo,
    aligner_info,
    classifier_info,
    from_metadata,
    open_model_file,
    to_metadata,
)
from stn.whole_file import written_beside

LATER = frozenset(f"confidence.{layer}.{part}" for layer in ("first", "last") for part in ("weight", "bias"))
"""What files of aligners that were written before there was such a thing do not hold; fresh, it changes nothing."""
Built = TypeVar("Built", Classifier, Aligner)


def save_model(path: str | os.PathLike[str], model: Classifier | Aligner, info: ModelInfo | AlignerInfo) -> None:
    """Write the network and what is known of it; the file is complete or absent, whatever interrupts the writing."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with written_beside(path) as beside:
        save_file(tensors, beside, to_metadata(info))


def load_model(path: str | os.PathLike[str]) -> Classifier:
    """The classifier in this file, in evaluation mode on the CPU; a ModelFileError where it is no model file.

    The weights' names, shapes and types are compared with the network that the file describes before any memory is
    taken for it.

    Raises:
        OtherTask: it is an aligner, see `load_aligner`.
    """
    with open_model_file(path, "pt") as file:
        info = classifier_info(path, from_metadata(path, file.metadata() or {}))
        return _read(path, file, lambda: build_model(info.config, info.input, len(info.class_names)))


def load_aligner(path: str | os.PathLike[str]) -> Aligner:
    """The aligner in this file, as `load_model` does it; `OtherTask` where the file holds a classifier."""
    with open_model_file(path, "pt") as file:
        info = aligner_info(path, from_metadata(path, file.metadata() or {}))
        return _read(path, file, lambda: build_aligner(info.config))


def _read(path: str | os.PathLike[str], file: Any, build: Callable[[], Built]) -> Built:
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from None
    if LATER.isdisjoint(file.keys()):
        expected = {name: tensor for name, tensor in expected.items() if name not in LATER}
    _compare(path, expected, file)
    weights = {name: file.get_tensor(name) for name in expected}
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ModelFileError(f"{path}: {name} holds numbers that are not finite")
    model = build()
    model.load_state_dict(model.state_dict() | weights)
    return model.eval()


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
