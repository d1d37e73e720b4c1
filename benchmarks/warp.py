"""Times warping a batch of images in stn, torch, kornia and OpenCV, in one run, and prints one table of ratios.

    python benchmarks/warp.py --threads 1 --json results/warp.json

A ratio is the peer's time divided by ours: above 1 ours is faster. The warps of a row take turns within the run, so that
what else the machine does falls on all of them. Each is given its parameters ready for use: theta for stn and torch, pixel
matrices for kornia and OpenCV; what does not depend on them (stn's grid generator) is built before. Before anything is
timed, all pictures of a row are compared with ours.

Passes: `forward` without gradients; `theta`, forward and the gradient of theta; `both`, that of the images too.
"""

import argparse
import gc
import itertools
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import kornia
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from warp_peers import NAMES, SAME_MAP, TRANSFORMS, Case, Contestant, make_case

import stn
from training.runs import write_json

SHAPES = ((64, 1, 28, 28), (8, 3, 224, 224))
PASSES = ("forward", "theta", "both")
SHORTEST = 2e-3
"""Seconds that one measurement takes at least: a fast warp is repeated within it."""
FEWEST_ROUNDS = 5


class Row(NamedTuple):
    """One line of the table."""

    transform: str
    shape: tuple[int, int, int, int]
    passes: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch and of OpenCV")
    parser.add_argument("--seconds", type=float, default=120.0, help="time for all measurements together")
    parser.add_argument("--transforms", choices=TRANSFORMS, nargs="+", default=TRANSFORMS)
    parser.add_argument("--passes", choices=PASSES, nargs="+", default=PASSES)
    parser.add_argument("--json", type=Path, help="file for all numbers, for example results/warp.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    rows = [Row(*row) for row in itertools.product(options.transforms, SHAPES, options.passes)]
    results = []
    for row in tqdm(rows, desc="rows", unit="row"):
        case = make_case(row.transform, row.shape)
        _compare(case)
        results.append(measure(row, case, options.seconds / len(rows)))
    report = {"machine": _machine(options.threads), "rows": results}
    if options.json:
        write_json(options.json, report)
    _print(report)


def measure(row: Row, case: Case, seconds: float) -> dict[str, Any]:
    """Best and median milliseconds of every warp that can do this row, and of copying the images."""
    able = {name: each for name, each in case.contestants.items() if row.passes == "forward" or name != "OpenCV"}
    runs: dict[str, Callable[[], Any]] = {name: _with_pass(each, case, row.passes) for name, each in able.items()}
    buffer = torch.empty_like(case.images)
    runs["clone"] = case.images.clone
    runs["copy"] = lambda: buffer.copy_(case.images)
    repeats = {name: _calibrate(run) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.disable()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["stn"]) < FEWEST_ROUNDS:
        for name, run in runs.items():
            times[name].append(_time(run, repeats[name]))
    gc.enable()
    return {
        "transform": row.transform,
        "shape": row.shape,
        "pass": row.passes,
        "rounds": len(times["stn"]),
        "best_ms": {name: 1e3 * min(values) for name, values in times.items()},
        "median_ms": {name: 1e3 * statistics.median(values) for name, values in times.items()},
    }


def _with_pass(contestant: Contestant, case: Case, passes: str) -> Callable[[], Any]:
    """The warp of the case's images with what the pass asks for."""
    warp, parameters = contestant
    if passes == "forward":
        return torch.no_grad()(lambda: warp(case.images, parameters))
    images = case.images.clone().requires_grad_(passes == "both")
    parameters = parameters.clone().requires_grad_()
    inputs = (parameters, images) if passes == "both" else (parameters,)
    return lambda: torch.autograd.grad(warp(images, parameters), inputs, case.towards)


def _calibrate(run: Callable[[], Any]) -> int:
    """How often to repeat a run within one measurement; it has warmed up then."""
    run()
    once = min(_time(run, 1) for _ in range(2))
    return max(1, round(SHORTEST / once))


def _time(run: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def _compare(case: Case) -> None:
    """Stops unless all that compute the same map give the same pictures."""
    found = {name: warp(case.images, parameters) for name, (warp, parameters) in case.contestants.items()}
    for name in SAME_MAP[case.transform]:
        if name in found:
            images = found[name]
            if not isinstance(images, Tensor):
                images = torch.from_numpy(np.stack(images)).view(found["stn"].movedim(1, -1).shape).movedim(-1, 1)
            # Float32 positions below 256 pixels carry a few roundings of 2^-17, and neighbouring pixels differ by up to 1.
            difference = float((images - found["stn"]).abs().max())
            if difference > 2e-4:
                raise SystemExit(f"{name} and stn differ by {difference} for {case.transform}")


def _print(report: dict[str, Any]) -> None:
    print(f"\n{report['machine']}\n")
    print("Time of the peer / time of stn, best of all rounds (median in brackets); milliseconds and copies for stn.\n")
    names = [name for name in NAMES if name != "stn"]
    header = ["transform", "images", "pass", "stn ms", "stn / copy", "stn / clone", *names]
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in report["rows"]:
        best, median = row["best_ms"], row["median_ms"]
        cells = [row["transform"], "x".join(map(str, row["shape"])), row["pass"], f"{best['stn']:.3f}"]
        cells += [f"{best['stn'] / best[floor]:.1f}" for floor in ("copy", "clone")]
        for name in names:
            ratio = f"{best[name] / best['stn']:.2f} ({median[name] / median['stn']:.2f})" if name in best else ""
            cells.append(ratio)
        print(f"| {' | '.join(cells)} |")


def _machine(threads: int) -> dict[str, Any]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "threads": threads,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "stn": f"{stn.__name__} {commit.stdout.strip()}",
        "torch": torch.__version__,
        "kornia": kornia.__version__,
        "opencv": cv2.__version__,
    }


if __name__ == "__main__":
    main()
