"""From what a network says to the bytes that a client gets, or the terminal shows: JSON, PNG, NPZ.

None of it needs torch.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from jaxtyping import Float32, UInt8

from service.models.served import Served
from service.predicting.activations import describe_layer
from service.predicting.images import Picture, data_uri, png
from service.predicting.options import PredictOptions
from service.predicting.outputs import Outputs
from service.problems import Problem

_JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

Entry = Picture | Problem
"""One of the images of a request: what it shows, or why it cannot be shown."""


@dataclass(slots=True, eq=False)
class Answer:
    """A response that only has to be sent."""

    body: bytes
    kind: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    status: int = 200


def json_answer(served: Served, entries: Sequence[Entry], outputs: Outputs | None, options: PredictOptions) -> Answer:
    """One object per image in the order they were sent; a bad one has its problem instead of a prediction."""
    numbers = iter(range(len(entries)))
    transformed = outputs.in_bytes() if outputs and options.includes("transformed") else None
    answer = {
        "model": served.name,
        "version": served.version,
        "predictions": [
            describe(served, entry, outputs, next(numbers), options, transformed)
            if isinstance(entry, Picture) and outputs is not None
            else _failed(entry)
            for entry in entries
        ],
    }
    return Answer(orjson.dumps(answer, option=_JSON_OPTIONS), "application/json")


def _failed(entry: Entry) -> dict[str, Any]:
    assert isinstance(entry, Problem)
    return {"problem": entry.document()}


def describe(
    served: Served,
    picture: Picture,
    outputs: Outputs,
    row: int,
    options: PredictOptions,
    transformed: UInt8[np.ndarray, "b c h w"] | None,
) -> dict[str, Any]:
    """Class, probabilities and what else was asked for, of one picture."""
    probabilities = outputs.probabilities[row]
    best = int(probabilities.argmax())
    entry: dict[str, Any] = {
        "class": served.info.class_names[best],
        "probability": probabilities[best],
        "probabilities": _by_class(probabilities, served.info.class_names, options.top_k),
    }
    included = options.included
    if "theta" in included:
        entry["theta"] = describe_theta(served, outputs, row)
        if options.theta is not None:
            entry["theta"]["given"] = True
    if "outline" in included:
        entry["outline"] = picture.from_input(outputs.outline[row]).astype(np.float32)
    entry["width"], entry["height"] = picture.width, picture.height
    if transformed is not None:
        entry["transformed"] = data_uri(png(transformed[row]))
    if "input" in included:
        entry["input"] = data_uri(png(picture.pixels))
    if "grid" in included and "grid" in outputs.details:
        entry["grid"] = picture.from_input(outputs.details["grid"][row]).astype(np.float32)
    if "activations" in included:
        layers = [layer for layer in served.layers if layer.name in outputs.details]
        entry["activations"] = [describe_layer(layer, outputs.details[layer.name][row]) for layer in layers]
    return entry


def describe_theta(served: Served, outputs: Outputs, row: int) -> dict[str, Any] | None:
    """theta by parameter name and as a matrix, or None where the network has no transformer."""
    if outputs.theta is None:
        return None
    return {
        "transform": served.info.config.transform,
        "parameters": dict(zip(served.parameter_names, outputs.theta[row], strict=True)),
        "matrix": None if outputs.matrix is None else outputs.matrix[row],
    }


def png_answer(served: Served, _entries: Sequence[Entry], outputs: Outputs | None, _options: PredictOptions) -> Answer:
    """The transformed image of the only picture, with class and theta in headers."""
    assert outputs is not None
    theta = describe_theta(served, outputs, 0)
    best = int(outputs.probabilities[0].argmax())
    headers = {
        "X-Stn-Model": f"{served.name}/{served.version}",
        "X-Stn-Class": json.dumps(served.info.class_names[best]),
        "X-Stn-Probability": f"{float(outputs.probabilities[0, best]):.6f}",
        "X-Stn-Theta": orjson.dumps(theta["parameters"] if theta else None, option=_JSON_OPTIONS).decode(),
    }
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Answer(png(outputs.in_bytes()[0]), "image/png", pairs)


def npz_answer(served: Served, entries: Sequence[Entry], outputs: Outputs | None, options: PredictOptions) -> Answer:
    """Arrays by name, float32, a row for each image; those of a bad one are NaN, and `problems` and `statuses` say why."""
    good = np.array([isinstance(entry, Picture) for entry in entries])
    arrays: dict[str, np.ndarray] = {
        "class_names": np.array(served.info.class_names),
        "model": np.array(f"{served.name}/{served.version}"),
        "problems": np.array([entry.detail if isinstance(entry, Problem) else "" for entry in entries]),
        "statuses": np.array([entry.status if isinstance(entry, Problem) else 200 for entry in entries], np.int32),
    }
    if outputs is not None:
        arrays["probabilities"] = _spread(outputs.probabilities, good)
        arrays.update({name: _spread(values, good) for name, values in _arrays(outputs, entries, options)})
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return Answer(file.getvalue(), "application/x-npz")


def _by_class(probabilities: np.ndarray, names: Sequence[str], top_k: int | None) -> dict[str, Any]:
    if top_k is None or top_k >= len(names):
        order: Sequence[int] = range(len(names))
        if top_k is None:
            return dict(zip(names, probabilities, strict=True))
    order = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
    return {names[index]: probabilities[index] for index in order}


def _arrays(
    outputs: Outputs, entries: Sequence[Entry], options: PredictOptions
) -> list[tuple[str, Float32[np.ndarray, "b ..."]]]:
    pictures = [entry for entry in entries if isinstance(entry, Picture)]
    arrays: dict[str, np.ndarray | None] = {
        "transformed": outputs.transformed,
        "theta": outputs.theta,
        "matrix": outputs.matrix if options.includes("theta") else None,
        "outline": _in_pixels(pictures, outputs.outline),
        "grid": _in_pixels(pictures, outputs.details["grid"]) if "grid" in outputs.details else None,
        "input": np.stack([picture.pixels for picture in pictures]).astype(np.float32) / 255,
    }
    chosen = [(name, values) for name, values in arrays.items() if name == "matrix" or name in options.included]
    if options.includes("activations"):
        chosen += [(f"activations.{name}", values) for name, values in outputs.details.items() if name != "grid"]
    return [(name, np.asarray(values, np.float32)) for name, values in chosen if values is not None]


def _in_pixels(pictures: Sequence[Picture], points: np.ndarray) -> np.ndarray:
    return np.stack([picture.from_input(rows) for picture, rows in zip(pictures, points, strict=True)])


def _spread(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The rows at the places of the good images, NaN at the others."""
    spread = np.full((len(good), *values.shape[1:]), np.nan, np.float32)
    spread[good] = values
    return spread
