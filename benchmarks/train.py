"""Times training in stn and in the loop everybody starts from, in one run, and prints one table of ratios.

    python benchmarks/train.py --root DATA --json results/train.json

Both train the network of PyTorch's spatial transformer tutorial on MNIST, distorted by RTS (turned by up to 45 degrees,
scaled by 0.7 to 1.2, anywhere in 42x42), with SGD and batches of 256. The peer is the tutorial's loop: PIL transforms in a
DataLoader, timed with 0, 1 and 2 workers of which the best counts. Ours is `training`: Lightning's Trainer with all that
`stn train` hangs on it. Each is a process of its own, warmed up first and halted except in its turns, which are short: so
what else the machine has to do meets all of them alike, and a ratio is the median of those of the rounds.

Beside them: the same steps in a plain loop without Lightning, whose difference is what Lightning costs; the same pictures as
PNG files, kept decoded in memory and streamed from the decoded cache on disk; and the floor, the step's multiplications at
the speed of a large matrix product on this machine.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from floor import count, floor, told
from machine import machine
from torchvision import datasets
from tqdm import tqdm
from train_peer import SIDE, TutorialNet
from turns import contestants

from training.runs import write_json

WARM_UP = 20
"""Steps before the first round; for about so many the memory of a process still grows, page by page."""

PICTURES = 6000
"""PNG files that are written."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder with MNIST/raw")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=8, help="of each contestant in a round that count")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="of the peer's DataLoader")
    parser.add_argument("--json", type=Path, help="file for all numbers, for example results/train.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = _measure(options, Path(folder))
    report = {
        "machine": machine("torch", "pytorch-lightning"),
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
    common = ["--batch-size", str(options.batch_size)]
    mnist, pictures = ["--root", options.root], ["--name", "folder", "--root", str(folder)]
    commands = {
        "plain loop": ["train_ours.py", "plain", *common, *mnist],
        "stn": ["train_ours.py", "lightning", *common, *mnist],
        "stn, bfloat16": ["train_ours.py", "lightning", *common, *mnist, "--precision", "bfloat16"],
        "stn, PNG files in memory": ["train_ours.py", "lightning", *common, *pictures],
        "stn, PNG files streamed from the cache": ["train_ours.py", "lightning", *common, *pictures, "--memory", "0"],
    }
    for workers in options.workers:
        commands[f"tutorial, {workers} workers"] = ["train_peer.py", *common, *mnist, "--workers", str(workers)]
    times: dict[str, list[float]] = {name: [] for name in commands}
    with contestants(commands, WARM_UP) as ready:
        for number in tqdm(range(options.rounds), desc="rounds"):
            for name in list(ready)[:: 1 if number % 2 else -1]:
                times[name].append(ready[name].turn(options.steps))
    return times


def _write_pictures(root: str, folder: Path) -> None:
    """PNG files of MNIST's first training pictures, in a folder for each class."""
    for index, (picture, label) in enumerate(datasets.MNIST(root, train=True, download=False)):
        if index == PICTURES:
            return
        place = folder / str(label)
        place.mkdir(exist_ok=True)
        picture.save(place / f"{index}.png")


def _step(batch_size: int) -> None:
    """Forward and backward pass of the tutorial's network."""
    model, images = TutorialNet(), torch.rand(batch_size, 1, SIDE, SIDE)
    F.nll_loss(model(images), torch.zeros(batch_size, dtype=torch.long)).backward()


def _print(report: dict[str, Any]) -> None:
    times, batch_size = report["seconds_per_step"], report["batch_size"]
    middle = {name: statistics.median(values) for name, values in times.items()}
    peer = times[min((name for name in times if name.startswith("tutorial")), key=middle.__getitem__)]
    print(f"\n{report['machine']}\n")
    print("| | images per second | of the tutorial's best, median and quartiles | ms per step, least and median |")
    print("|---|---|---|---|")
    for name, values in times.items():
        ratio = _spread([theirs / own for theirs, own in zip(peer, values, strict=True)])
        steps = f"{1e3 * min(values):.1f}, {1e3 * middle[name]:.1f}"
        print(f"| {name} | {batch_size / middle[name]:.0f} | {ratio} | {steps} |")
    pairs = list(zip(times["stn"], times["plain loop"], strict=True))
    cost = _spread([1e3 * (own - plain) for own, plain in pairs])
    share = _spread([100 * (own / plain - 1) for own, plain in pairs])
    print(f"\nLightning: {cost} ms, {share} % of a step.")
    print(told(report["floor"]))


def _spread(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
