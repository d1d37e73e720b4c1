"""Gets a model ready to be served: `python -m service.preparing.prepare`, a process of its own.

Writing graphs and timing runtimes takes seconds of Python, and torch; none of that must happen where requests are answered.
`service.preparing.loading` starts it and keeps what it writes, the prepared folder: plan.json, the graphs, and nothing else.
"""

import copy
import gc
import json
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import torch

from service.preparing.layers import layers_of
from service.preparing.plan import BATCHES, Plan, Runtime, fastest, write_plan
from service.preparing.runtimes.answering import Answering, example
from service.preparing.runtimes.onnx import OnnxNetwork
from service.preparing.runtimes.pytorch import CompiledNetwork, EagerNetwork, compile_network
from stn import Classifier, ModelFileError, ModelInfo, load_model, read_model_info
from stn.export import export_graph

log = logging.getLogger(__name__)

Network = Callable[[np.ndarray], dict[str, np.ndarray]]
Name = TypeVar("Name")

TOLERANCE = 1e-5
"""How far an output may be from that of eager torch."""
SECONDS = 0.15
"""For the timing of one runtime at one batch size, after its first call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to prepare, and for what machine."""

    model: str
    """The model file."""
    folder: str
    """Where the prepared files go; it exists and is empty."""
    runtimes: tuple[Runtime, ...]
    """Those to choose from; one of them fixes it."""
    device: str
    """`auto`: a GPU where there is one."""
    threads: int


def prepare(task: Task) -> Plan:
    """The plan for this model, after its files were written.

    Raises:
        ModelFileError: it is no model file, or none of the runtimes can serve it.
    """
    model, info = load_model(task.model), read_model_info(task.model)
    folder = Path(task.folder)
    device = _device(task.device)
    layers = layers_of(model, example(info.input.channels, info.input.size, 1))
    graphs = _graphs(model, [layer.name for layer in layers])
    names = {name: graph.output_names for name, graph in graphs.items()}
    images = {size: example(info.input.channels, info.input.size, size).numpy() for size in BATCHES}
    reference = EagerNetwork(Path(task.model), "cpu", task.threads)
    networks, refused = _open_all(task, model, info, device, graphs, folder)
    for name in list(networks):
        if reason := difference(networks[name], reference, images):
            refused[name] = reason
            del networks[name]
    if not networks:
        raise ModelFileError(f"{task.model}: no runtime can serve it ({'; '.join(refused.values())})")
    milliseconds = _time_all(networks, images)
    return Plan(
        device=device,
        threads=task.threads,
        output_names=names["model"],
        detail_names=names["details"],
        given_names=names.get("given", ()),
        layers=layers,
        parameter_names=() if model.transformer is None else model.transformer.transform.parameter_names,
        runtimes=fastest(milliseconds),
        milliseconds=milliseconds,
        refused=refused,
    )


def _graphs(model: Classifier, layers: Sequence[str]) -> dict[str, Answering]:
    """The network as most requests want it, with details, and, where it has a transformer, with a theta that is given."""
    given = {} if model.transformer is None else {"given": Answering(copy.deepcopy(model), layers, given=True)}
    return {"model": Answering(copy.deepcopy(model)), "details": Answering(copy.deepcopy(model), layers), **given}


def _open_all(
    task: Task, model: Classifier, info: ModelInfo, device: str, graphs: Mapping[str, Answering], folder: Path
) -> tuple[dict[Runtime, Network], dict[Runtime, str]]:
    """The runtimes that can be had, in the order in which they are preferred, and why the others cannot."""
    images = torch.zeros(2, info.input.channels, *info.input.size)
    names = graphs["model"].output_names
    opened: dict[Runtime, Callable[[], Network]] = {
        "onnxruntime": lambda: _faster_graph(folder, names, task.threads, images),
        "compiled": lambda: _compiled(model, images, device, folder, names, task.threads),
        "eager": lambda: EagerNetwork(Path(task.model), device, task.threads),
    }
    networks: dict[Runtime, Network] = {}
    refused: dict[Runtime, str] = {}
    if "onnxruntime" in task.runtimes:
        _export(graphs, images, folder)
    for name in (name for name in opened if name in task.runtimes):
        try:
            networks[name] = opened[name]()
        except Exception as error:
            refused[name] = f"{name}: {str(error).strip().partition(chr(10))[0] or type(error).__name__}"
            log.warning("%s cannot serve this model", name, exc_info=error)
    return networks, refused


def _export(graphs: Mapping[str, Answering], images: torch.Tensor, folder: Path) -> None:
    """Write the graph with details, and the same one without them, from which runtimes leave out what leads to them.

    Of that there are two, which give the same numbers; see `_faster_graph`. The graph that is given its theta is another.
    """
    import onnx

    from service.preparing.margins import with_margins

    export_graph(graphs["details"], {"images": images}, graphs["details"].output_names, {}, folder / "details.onnx")
    if given := graphs.get("given"):
        assert given.model.transformer is not None
        theta = given.model.transformer.transform.identity().expand(len(images), -1)
        export_graph(given, {"images": images, "theta": theta}, given.output_names, {}, folder / "given.onnx")
    graph = onnx.load(folder / "details.onnx")
    kept = [output for output in graph.graph.output if output.name in graphs["model"].output_names]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    onnx.save(graph, folder / "model.onnx")
    onnx.save(with_margins(graph), folder / "margins.onnx")


def _faster_graph(folder: Path, names: tuple[str, ...], threads: int, images: torch.Tensor) -> Network:
    """Of the graph as it was exported and the one with margins the faster one, which alone stays."""
    path, beside = folder / "model.onnx", folder / "margins.onnx"
    networks = {file: OnnxNetwork(file, names, threads) for file in (path, beside)}
    times = _turns(networks, example(images.shape[1], (images.shape[2], images.shape[3]), max(BATCHES)).numpy())
    if times[beside] < times[path]:
        beside.replace(path)
        return networks[beside]
    beside.unlink()
    return networks[path]


def _compiled(
    model: Classifier, images: torch.Tensor, device: str, folder: Path, names: tuple[str, ...], threads: int
) -> Network:
    network = Answering(copy.deepcopy(model)).eval().to(device)
    compile_network(network, images.to(device), folder / "model.pt2")
    return CompiledNetwork(folder / "model.pt2", names, device, threads)


def difference(network: Network, reference: Network, images: dict[int, np.ndarray]) -> str:
    """Why this network does not give the answers of the reference; empty where it does."""
    for size, batch in images.items():
        expected, found = reference(batch), network(batch)
        for name, values in expected.items():
            far = float(np.abs(found[name] - values).max())
            if not far <= TOLERANCE:
                return f"{name} of {size} images differ by {far:.1e} from eager torch; {TOLERANCE:.0e} may be"
    return ""


def _time_all(networks: dict[Runtime, Network], images: dict[int, np.ndarray]) -> dict[Runtime, dict[int, float]]:
    """The shortest time of each at each batch size, in milliseconds; they take turns, so that noise falls on all."""
    return {
        name: {size: round(times[name], 4) for size, times in turns.items()}
        for turns in [{size: _turns(networks, batch) for size, batch in images.items()}]
        for name in networks
    }


def _turns(networks: Mapping[Name, Network], batch: np.ndarray) -> dict[Name, float]:
    best = dict.fromkeys(networks, float("inf"))
    until = time.perf_counter() + SECONDS * len(networks)
    while time.perf_counter() < until:
        for name, network in networks.items():
            start = time.perf_counter()
            network(batch)
            best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return str(torch.device(wanted))


def main(arguments: Sequence[str]) -> int:
    """The argument is a `Task` as JSON. Exit code 0, or 2 with a sentence on standard error about the file."""
    values: dict[str, Any] = json.loads(arguments[0])
    task = Task(**{**values, "runtimes": tuple(name for name in get_args(Runtime) if name in values["runtimes"])})
    torch.set_num_threads(task.threads)
    gc.freeze()  # otherwise it looks through all of torch, again and again
    try:
        write_plan(Path(task.folder), prepare(task))
    except ModelFileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
