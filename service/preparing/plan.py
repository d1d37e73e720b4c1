"""What was found out when a model was prepared: by which runtime it is served, and what there is to name in its answers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Runtime = Literal["onnxruntime", "eager", "compiled"]
"""ONNX Runtime, torch as it is, or what torch's compiler makes ahead of time, for which it needs a C++ compiler."""

LayerKind = Literal["convolution", "pooling", "dense"]
Shown = Literal["input", "transformed"]
"""The images of a prediction's answer: what the network was shown, and what its class layers saw."""

FORMAT = 2
"""Of what `service.preparing.prepare` writes. A prepared folder of another one is not read."""
BATCHES = (1, 8, 32)
"""Batch sizes at which the runtimes are timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sees:
    """The part of an image that each unit of a layer looks at, in pixels, all (vertical, horizontal).

    Unit (i, j) sees the rectangle of this size whose upper left corner is start + (i, j) stride; what lies outside the image
    is padding.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer whose outputs can be shown."""

    name: str
    kind: LayerKind
    of: Shown
    """The image that it looks at."""
    sees: Sees | None
    """None: all of it, as far as is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to serve a model; in a prepared folder it is plan.json."""

    device: str
    """`cpu`, or `cuda:0` and the like."""
    threads: int
    """Of the runtime, for the work on one batch."""
    output_names: tuple[str, ...]
    """What the graphs give, in order."""
    detail_names: tuple[str, ...]
    """What the graph with details gives, in order."""
    given_names: tuple[str, ...]
    """What the graph gives that takes a theta, in order; nothing without a transformer, where there is none."""
    layers: tuple[Layer, ...]
    """Those among the details, in the order in which they run."""
    parameter_names: tuple[str, ...]
    """One name per entry of theta; none without a transformer."""
    runtimes: Mapping[int, Runtime]
    """The runtime for batches of up to so many images; above the largest, that of the largest."""
    milliseconds: Mapping[Runtime, Mapping[int, float]]
    """What each runtime took for a batch of each size, where it was measured."""
    refused: Mapping[Runtime, str]
    """Runtimes that cannot serve this model, and why."""

    def runtime(self, batch: int) -> Runtime:
        """The one for this many images."""
        size = min((size for size in self.runtimes if size >= batch), default=max(self.runtimes))
        return self.runtimes[size]


def write_plan(folder: Path, plan: Plan) -> None:
    """Put it into a prepared folder."""
    (folder / "plan.json").write_text(json.dumps(asdict(plan), indent=2) + "\n")


def read_plan(folder: Path) -> Plan:
    """The plan of a prepared folder; a FileNotFoundError where there is none."""
    values: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return Plan(
        **{
            **values,
            "output_names": tuple(values["output_names"]),
            "detail_names": tuple(values["detail_names"]),
            "given_names": tuple(values["given_names"]),
            "layers": tuple(_layer(layer) for layer in values["layers"]),
            "parameter_names": tuple(values["parameter_names"]),
            "runtimes": {int(size): name for size, name in values["runtimes"].items()},
            "milliseconds": {
                name: {int(size): time for size, time in times.items()}
                for name, times in values["milliseconds"].items()
            },
        }
    )


def _layer(values: dict[str, Any]) -> Layer:
    sees = values["sees"]
    return Layer(**{**values, "sees": sees and Sees(**{name: tuple(pair) for name, pair in sees.items()})})


def fastest(milliseconds: Mapping[Runtime, Mapping[int, float]]) -> dict[int, Runtime]:
    """The fastest runtime for each batch size; of two that are within 10 % the one that stands first."""
    sizes = next(iter(milliseconds.values()))
    chosen: dict[int, Runtime] = {}
    for size in sizes:
        best = min(times[size] for times in milliseconds.values())
        chosen[size] = next(name for name, times in milliseconds.items() if times[size] <= 1.1 * best)
    return chosen
