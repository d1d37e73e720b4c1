"""Times a network in torch and, exported, in other runtimes, in one run, and prints one table of ratios.

    python benchmarks/export.py --json results/export.json

The network is a preset's, with random weights and a theta that depends on the image. `stn` is this library's layer, exported
by `stn.export`; `affine_grid` is the same network with torch's `affine_grid` and `grid_sample` in its place, as torch
exports them. A ratio is the time of stn in eager torch divided by the time of a cell: above 1 the cell is faster than that.
The runtimes take turns within the run, so that what else the machine does falls on all of them. Before anything is timed,
all logits of a batch are compared. torch.compile needs a C++ compiler, OpenVINO its package; without, their rows are left
out. One thread each by default.
"""

import argparse
import copy
import functools
import importlib.util
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from expanded import ExpandedTransformer
from machine import machine
from torch import Tensor, nn
from tqdm import tqdm

from stn import Classifier, InputConfig, ModelInfo, build_model
from stn.export import export_onnx
from training.presets import PRESETS
from training.runs import write_json

Runtime = Callable[[Classifier, Path], Callable[[Tensor], Any]]
"""From a network and its ONNX file to what names the classes of a batch; the logits come first."""

SHORTEST = 2e-3
"""Seconds that one measurement takes at least: a fast run is repeated within it."""
FEWEST_ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="digits", help="whose network is timed")
    parser.add_argument("--size", type=int, nargs=2, default=(42, 42), help="height and width of the images")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 32))
    parser.add_argument("--threads", type=int, default=1, help="of each runtime")
    parser.add_argument("--seconds", type=float, default=60.0, help="time for all measurements together")
    parser.add_argument("--json", type=Path, help="file for all numbers, for example results/export.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    info = _info(options.preset, options.channels, tuple(options.size))
    with tempfile.TemporaryDirectory() as folder:
        runs = _contestants(info, Path(folder), options.threads)
    cells: dict[int, dict[str, list[float]]] = {}
    with torch.inference_mode():
        for batch in options.batches:
            images = torch.rand(batch, info.input.channels, *info.input.size)
            _compare(runs, images)
            cells[batch] = _measure(runs, images, options.seconds / len(options.batches))
    report = {"machine": _machine(options), "batches": {batch: _summary(times) for batch, times in cells.items()}}
    if options.json:
        write_json(options.json, report)
    _print(report)


def _info(preset: str, channels: int, size: tuple[int, int]) -> ModelInfo:
    images = InputConfig(
        channels=channels, height=size[0], width=size[1], mean=(0.1,) * channels, std=(0.3,) * channels
    )
    return ModelInfo(config=PRESETS[preset]().model, input=images, class_names=tuple("0123456789"))


def _contestants(info: ModelInfo, folder: Path, threads: int) -> dict[str, Callable[[Tensor], Any]]:
    """What is timed, by runtime and network."""
    torch.manual_seed(0)
    model = build_model(info.config, info.input, len(info.class_names)).eval()
    layer = model.transformer
    if layer is None or info.config.transform != "affine":
        raise SystemExit(f"the preset must have an affine transformer, got {info.config.transform}")
    last = [module for module in layer.localization.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.normal_(last.weight, std=0.1)
    expanded = copy.deepcopy(model)
    expanded.transformer = ExpandedTransformer(layer)  # type: ignore[assignment]
    files = {"stn": (model, folder / "stn.onnx"), "affine_grid": (expanded, folder / "affine_grid.onnx")}
    for network, path in tqdm(files.values(), desc="exporting", unit="file"):
        export_onnx(network, info, path)
    return {
        f"{runtime} {name}": start(network, path)
        for runtime, start in _runtimes(threads).items()
        for name, (network, path) in files.items()
    }


def _runtimes(threads: int) -> dict[str, Runtime]:
    found: dict[str, Runtime] = {"torch": lambda model, _path: model}
    if shutil.which("g++") or shutil.which("clang++"):
        found["torch.compile"] = lambda model, _path: torch.compile(model, fullgraph=True, dynamic=False)
    found["ONNX Runtime"] = functools.partial(_onnx_runtime, threads)
    if importlib.util.find_spec("openvino"):
        found["OpenVINO"] = functools.partial(_openvino, threads)
    return found


def _onnx_runtime(threads: int, _model: Classifier, path: Path) -> Callable[[Tensor], Any]:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, settings)
    return lambda images: session.run(None, {"images": images.numpy()})


def _openvino(threads: int, _model: Classifier, path: Path) -> Callable[[Tensor], Any]:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(path, "CPU", settings)
    return lambda images: network({"images": images.numpy()})


def _compare(runs: dict[str, Callable[[Tensor], Any]], images: Tensor) -> None:
    """Stops unless all name the same classes for the same reasons; compiles what is compiled at the first call."""
    logits = {name: torch.as_tensor(run(images)[0]) for name, run in tqdm(runs.items(), desc="comparing", unit="run")}
    for name, found in logits.items():
        # Positions differ by some roundings of 2^-24 of the image's size, logits by a small multiple of that.
        difference = float((found - logits["torch stn"]).abs().max())
        if difference > 1e-4:
            raise SystemExit(f"{name} and torch differ by {difference}")


def _measure(runs: dict[str, Callable[[Tensor], Any]], images: Tensor, seconds: float) -> dict[str, list[float]]:
    """Seconds of every round of every run."""
    repeats = {
        name: max(1, round(SHORTEST / min(_time(run, images, 1) for _ in range(3)))) for name, run in runs.items()
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    order, shuffle = list(runs), random.Random(0).shuffle  # what ran before, and spins on, is another each time
    end = time.perf_counter() + seconds
    with tqdm(desc=f"batch {len(images)}", unit="round") as progress:
        while time.perf_counter() < end or progress.n < FEWEST_ROUNDS:
            shuffle(order)
            for name in order:
                times[name].append(_time(runs[name], images, repeats[name]))
            progress.update()
    return times


def _time(run: Callable[[Tensor], Any], images: Tensor, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run(images)
    return (time.perf_counter() - start) / repeats


def _summary(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {
        name: {"best_ms": 1e3 * min(values), "median_ms": 1e3 * statistics.median(values), "rounds": len(values)}
        for name, values in times.items()
    }


def _print(report: dict[str, Any]) -> None:
    print(f"\n{report['machine']}\n")
    print("Times faster than stn in eager torch: best of all rounds (median in brackets), milliseconds of the best.\n")
    header = ["runtime and network", *(f"batch {batch}" for batch in report["batches"])]
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for name in next(iter(report["batches"].values())):
        cells = [name]
        for results in report["batches"].values():
            base, mine = results["torch stn"], results[name]
            best, median = (base[key] / mine[key] for key in ("best_ms", "median_ms"))
            cells.append(f"{best:.2f} ({median:.2f}), {mine['best_ms']:.3f} ms")
        print(f"| {' | '.join(cells)} |")


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "preset": options.preset,
        "images": [options.channels, *options.size],
        "threads": options.threads,
        **machine("torch", "onnx", "onnxruntime", "openvino"),
    }


if __name__ == "__main__":
    main()
