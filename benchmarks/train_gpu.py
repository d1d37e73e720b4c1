"""Times the training of the paper's ST-CNN on a GPU, through Lightning's Trainer, and says how long the GPU is idle.

    python benchmarks/train_gpu.py --root DATA --json results/train-gpu.json

MNIST distorted by R, batches of 256, the paper's recipe (`stn table1 --recipe paper`): real runs with all that `stn train`
hangs on the trainer. Each way of making a step is timed over the same number of steps, after those in which libraries choose
their algorithms; then a profile of some batches says for which share of the time no kernel ran.
"""

import argparse
import dataclasses
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from floor import count, floor, told
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from stn import build_model
from training.data.datamodule import DataModule
from training.experiments.cells import Cell, config_of
from training.module import ClassificationModule
from training.runs import write_json
from training.trainer import make_trainer

WARM_UP = 600
"""Steps before the clock runs."""
PROFILED = 200
"""Steps after it has stopped."""
WAYS: dict[str, dict[str, Any]] = {
    "recorded, 50 steps at once": {},
    "recorded, one step at once": {"steps_at_once": 1},
    "kernel by kernel, 50 steps at once": {"cuda_graph": False},
    "kernel by kernel, one step at once": {"cuda_graph": False, "steps_at_once": 1},
    "recorded, 50 steps at once, bfloat16": {"precision": "bfloat16"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder with MNIST/raw")
    parser.add_argument("--steps", type=int, default=2000, help="that are timed")
    parser.add_argument("--json", type=Path, help="file for all numbers, for example results/train-gpu.json")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA GPU here")
    warnings.filterwarnings("ignore")
    report: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "ways": {}}
    print("| | ms per step | images per second | GPU idle |\n|---|---|---|---|")
    for name, change in WAYS.items():
        seconds, idle = _measure(options, change)
        report["ways"][name] = {"seconds_per_step": seconds, "idle": idle}
        print(f"| {name} | {1e3 * seconds:.3f} | {256 / seconds:,.0f} | {idle:.1%} |", flush=True)
    report["floor"] = floor(_counted(options.root), "cuda")
    print(f"\n{report['device']}, torch {torch.__version__}. {told(report['floor'])}")
    if options.json:
        write_json(options.json, report)


def _measure(options: argparse.Namespace, change: dict[str, Any]) -> tuple[float, float]:
    """Seconds of a step, and the share of the time in which the GPU had nothing to do."""
    steps = WARM_UP + options.steps + 3 * PROFILED
    config = config_of(Cell("st-cnn-affine", "R", 0), "paper", steps, options.root)
    trainer = dataclasses.replace(config.trainer, validate_every=10**6, checkpoint_every=10**6, **change)
    config = dataclasses.replace(config, trainer=trainer)
    data = DataModule(config)
    module = ClassificationModule(build_model(config.model, data.input, 10), config, 10, data.steps)
    clock = _Clock(options.steps)
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(config, Path(folder), data, clock).fit(module, datamodule=data)
    return clock.seconds, clock.idle


class _Clock(pl.Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.began = (0, 0.0)
        self.seconds = self.idle = 0.0
        self.profile: profile | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        step = trainer.global_step
        if not self.began[0] and step >= WARM_UP:
            self.began = (step, _now())
        elif self.began[0] and not self.seconds and step >= self.began[0] + self.steps:
            self.seconds = (_now() - self.began[1]) / (step - self.began[0])
            self.profile = profile(activities=[ProfilerActivity.CUDA])
            self.profile.start()
            self.began = (step, 0.0)
        elif self.profile is not None and not self.idle and step >= self.began[0] + PROFILED:
            torch.cuda.synchronize()
            self.profile.stop()
            self.idle = _idle(self.profile)


def _now() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _idle(profiled: profile) -> float:
    """The share of the time from the first kernel to the last in which none ran."""
    ranges = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiled.events()
        if event.device_type == DeviceType.CUDA
    )
    busy, until = 0.0, ranges[0][0]
    for start, end in ranges:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return 1 - busy / (until - ranges[0][0])


def _counted(root: str) -> dict[str, float]:
    """Of the forward and backward pass of a step, on the CPU, where every convolution is one."""
    config = config_of(Cell("st-cnn-affine", "R", 0), "paper", 1000, root)
    model = build_model(config.model, DataModule(config).input, 10)
    images, labels = torch.rand(256, 1, 28, 28), torch.zeros(256, dtype=torch.long)
    return count(lambda: F.cross_entropy(model(images).logits, labels).backward())


if __name__ == "__main__":
    main()
