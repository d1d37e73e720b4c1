"""Times training in stn and in the loop everybody starts from, in one run, and prints one table of ratios.

    python benchmarks/train.py --root DATA --json results/train.json

Both train the network of PyTorch's spatial transformer tutorial on MNIST, distorted by RTS (turned by up to 45 degrees,
scaled by 0.7 to 1.2, anywhere in 42x42), with SGD and batches of 256. The peer is the tutorial's loop: PIL transforms in a
DataLoader, timed with 0, 1 and 2 workers of which the best counts. Ours is `training`: Lightning's Trainer with all that
`stn train` hangs on it. They take turns in rounds, each in a process of its own, which is warmed up first; the median of a
round's steps counts.

Beside them: the same steps in a plain loop without Lightning, whose difference is what Lightning costs; the same pictures as
PNG files, kept decoded in memory and streamed from the decoded cache on disk; and the floor, the step's multiplications at
the speed of a large matrix product on this machine.
"""

import argparse
import itertools
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from floor import count, floor, told
from torchvision import datasets
from tqdm import tqdm
from train_peer import SIDE, TutorialNet

from training.runs import write_json

WARM_UP = 20
"""Steps of each round that do not count; for about so many the memory of a process still grows, page by page."""

PICTURES = 6000
"""PNG files that are written."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder with MNIST/raw")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25, help="of each contestant in a round, after the warm-up")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="of the peer's DataLoader")
    parser.add_argument("--json", type=Path, help="file for all numbers, for example results/train.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = _measure(options, Path(folder))
    report = {
        "machine": _machine(),
        "batch_size": options.batch_size,
        "seconds_per_step": times,
        "floor": floor(count(lambda: _step(options.batch_size))),
    }
    if options.json:
        write_json(options.json, report)
    _print(report)


def _measure(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds of a step of each contestant, one for each round."""
    _write_pictures(options.root, folder)
    common = ["--batch-size", str(options.batch_size), "--steps", str(options.steps), "--warm-up", str(WARM_UP)]
    mnist, pictures = ["--root", options.root], ["--name", "folder", "--root", str(folder)]
    contestants = {
        "plain loop": ["train_ours.py", "plain", *mnist],
        "stn": ["train_ours.py", "lightning", *mnist],
        "stn, bfloat16": ["train_ours.py", "lightning", *mnist, "--precision", "bfloat16"],
        "stn, PNG files in memory": ["train_ours.py", "lightning", *pictures],
        "stn, PNG files streamed from the cache": ["train_ours.py", "lightning", *pictures, "--memory", "0"],
    }
    for workers in options.workers:
        contestants[f"tutorial, {workers} workers"] = ["train_peer.py", *mnist, "--workers", str(workers)]
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _, (name, command) in tqdm(list(itertools.product(range(options.rounds), contestants.items())), desc="rounds"):
        times[name].append(_seconds(*command, *common))
    return times


def _write_pictures(root: str, folder: Path) -> None:
    """PNG files of MNIST's first training pictures, in a folder for each class."""
    for index, (picture, label) in enumerate(datasets.MNIST(root, train=True, download=False)):
        if index == PICTURES:
            return
        place = folder / str(label)
        place.mkdir(exist_ok=True)
        picture.save(place / f"{index}.png")


def _seconds(script: str, *arguments: str) -> float:
    """What this script prints at last."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def _step(batch_size: int) -> None:
    """Forward and backward pass of the tutorial's network."""
    model, images = TutorialNet(), torch.rand(batch_size, 1, SIDE, SIDE)
    F.nll_loss(model(images), torch.zeros(batch_size, dtype=torch.long)).backward()


def _machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "lightning": version("pytorch-lightning"),
        "commit": commit.stdout.strip(),
    }


def _print(report: dict[str, Any]) -> None:
    times, batch_size = report["seconds_per_step"], report["batch_size"]
    best = {name: min(values) for name, values in times.items()}
    peer = min(value for name, value in best.items() if name.startswith("tutorial"))
    print(f"\n{report['machine']}\n")
    print("| | images per second | of the tutorial's best | ms per step, each round |\n|---|---|---|---|")
    for name, value in best.items():
        each = ", ".join(f"{1e3 * seconds:.1f}" for seconds in times[name])
        print(f"| {name} | {batch_size / value:.0f} | {peer / value:.2f} | {each} |")
    lightning = best["stn"] - best["plain loop"]
    print(f"\nLightning: {1e3 * lightning:.2f} ms, {lightning / best['plain loop']:.1%} of a step.")
    print(told(report["floor"]))


if __name__ == "__main__":
    main()
