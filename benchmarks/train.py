"""Times training in stn and in the loop everybody starts from, in one run, and prints one table of ratios.

    python benchmarks/train.py --root DATA --json results/train.json

Both train the network of PyTorch's spatial transformer tutorial on MNIST, distorted by RTS (turned by up to 45 degrees,
scaled by 0.7 to 1.2, anywhere in 42x42), with SGD and batches of 256. The peer is the tutorial's loop: PIL transforms in a
DataLoader, timed with 0, 1 and 2 workers of which the best counts. Ours is `training`: Lightning's Trainer with all that
`stn train` hangs on it. They take turns in rounds; each is warmed up first, and the median of a round's steps counts.

Beside them: the same steps in a plain loop without Lightning, whose difference is what Lightning costs; and the floor, the
step's multiplications at the speed of a large matrix product on this machine.
"""

import argparse
import itertools
import os
import platform
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm
from train_peer import SIDE, TutorialNet, steps

import stn
from stn.convolution import Conv2d
from training.config import DataConfig, OptimizerConfig, TrainerConfig, TrainingConfig
from training.data.datamodule import DataModule
from training.fit import make_trainer
from training.module import ClassificationModule
from training.recipes import DISTORTIONS
from training.runs import write_json

WARM_UP = 5
"""Steps of each round that do not count."""


class OurNet(TutorialNet):
    """The same layers with this library's sampler and convolution, channels last; normalised behind the sampler."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__(Conv2d)
        self.generator = stn.GridGenerator("affine", (SIDE, SIDE))
        self.normalise = stn.Normalise((mean,), (std,))
        self.transformer = None

    def straighten(self, images: Tensor, theta: Tensor) -> Tensor:
        return self.normalise(stn.warp(images, theta, self.generator))

    def forward(self, images: Tensor) -> stn.Classified:  # type: ignore[override]
        return stn.Classified(super().forward(images), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder with MNIST/raw")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25, help="of each contestant in a round, after the warm-up")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="of the peer's DataLoader")
    parser.add_argument("--json", type=Path, help="file for all numbers, for example results/train.json")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
    config = _config(options.root, options.batch_size, WARM_UP + options.steps)
    data = DataModule(config)
    contestants = {"plain loop": lambda: _plain(config, data), "stn": lambda: _through_lightning(config, data)}
    for workers in options.workers:
        contestants[f"tutorial, {workers} workers"] = lambda w=workers: steps(options.root, w, options.batch_size)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _, (name, start) in tqdm(list(itertools.product(range(options.rounds), contestants.items())), desc="rounds"):
        times[name].append(_median_step(start(), options.steps))
    report = {
        "machine": _machine(),
        "batch_size": options.batch_size,
        "seconds_per_step": times,
        "floor": _floor(options.batch_size),
    }
    if options.json:
        write_json(options.json, report)
    _print(report)


def _config(root: str, batch_size: int, count: int) -> TrainingConfig:
    return TrainingConfig(
        name="tutorial",
        data=DataConfig(name="mnist", root=root, download=False),
        distortion=DISTORTIONS["RTS"],
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.01, schedule="constant", weight_decay=0.0, label_smoothing=0.0
        ),
        trainer=TrainerConfig(
            max_steps=count, validate_every=10**9, batch_size=batch_size, accelerator="cpu", checkpoint_every=10**9
        ),
    )


def _module(config: TrainingConfig, data: DataModule) -> ClassificationModule:
    net = OurNet(data.input.mean[0], data.input.std[0])
    return ClassificationModule(net, config, 10, data.steps)  # type: ignore[arg-type]


def _plain(config: TrainingConfig, data: DataModule) -> Iterator[None]:
    """The batches and the network of ours in the shortest loop there is."""
    module = _module(config, data)
    model = module.model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    data.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    for batch in data.train_dataloader():
        images, labels, _ = data.on_after_batch_transfer(batch, 0)
        optimizer.zero_grad()
        F.nll_loss(model(images).logits, labels).backward()
        optimizer.step()
        yield


def _through_lightning(config: TrainingConfig, data: DataModule) -> list[float]:
    """The times at which the steps of a real run ended."""
    times = _Times()
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(config, Path(folder), data, times)
        trainer.fit(_module(config, data), datamodule=data)
    return times.ends


class _Times(pl.Callback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())


def _median_step(run: Iterator[None] | list[float], count: int) -> float:
    """Seconds of a step: of one that is run here, or from the times at which steps ended."""
    if not isinstance(run, list):
        ends = []
        for _ in itertools.islice(run, WARM_UP + count):
            ends.append(time.perf_counter())
        run = ends
    return statistics.median(after - before for before, after in itertools.pairwise(run[WARM_UP - 1 :]))


def _floor(batch_size: int) -> dict[str, float]:
    """A step's multiply-adds, and the seconds they take at the rate of a matrix product of 2048 x 2048."""
    model, images = TutorialNet(), torch.rand(batch_size, 1, SIDE, SIDE)
    with FlopCounterMode(display=False) as counter:
        F.nll_loss(model(images), torch.zeros(batch_size, dtype=torch.long)).backward()
    side = 2048
    matrix = torch.rand(side, side)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    rate = 2 * side**3 / best
    flops = counter.get_total_flops()
    return {"flops": flops, "matrix_flops_per_second": rate, "seconds": flops / rate}


def _machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "lightning": pl.__version__,
        "commit": commit.stdout.strip(),
    }


def _print(report: dict[str, Any]) -> None:
    times, batch_size = report["seconds_per_step"], report["batch_size"]
    best = {name: min(values) for name, values in times.items()}
    peer = min(value for name, value in best.items() if name.startswith("tutorial"))
    print(
        f"\n{report['machine']}\n\n| | images per second | of the tutorial's best | ms per step, each round |\n|---|---|---|---|"
    )
    for name, value in best.items():
        each = ", ".join(f"{1e3 * seconds:.1f}" for seconds in times[name])
        print(f"| {name} | {batch_size / value:.0f} | {peer / value:.2f} | {each} |")
    floor = report["floor"]
    print(
        f"\nLightning: {1e3 * (best['stn'] - best['plain loop']):.2f} ms, {best['stn'] / best['plain loop'] - 1:.1%} of a "
        f"step.\nFloor: {floor['flops'] / 1e9:.2f} G operations at {floor['matrix_flops_per_second'] / 1e9:.0f} G/s are "
        f"{1e3 * floor['seconds']:.1f} ms."
    )


if __name__ == "__main__":
    main()
