"""Compares where a transformer may stand: how well networks classify and align moved digits, at equal size and budget.

    python -m training.experiments.invariance --data DATA --steps 3000 --seeds 0 1 2

A cell is a network (`training.experiments.placements`), a movement and a seed. Started again, the command skips what is in
invariance-placements.json and goes on with the cell that was cut short. After each cell it writes that file and a table
beside it, invariance-placements.md.
"""

import argparse
import contextlib
import itertools
import logging
import platform
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stn.invariance import movement, report
from stn.whole_file import written_beside
from training.config import DataConfig, DistortionConfig, TrainerConfig, TrainingConfig
from training.data.batches import Order
from training.data.datamodule import DataModule
from training.distortions import distort, draw
from training.experiments.command import experiment
from training.experiments.placements import MOVED, PLACEMENTS, build_placed
from training.experiments.rows import Row, add_rows, find_row
from training.machine import commit, device_name
from training.randomness import generator
from training.report import device_for

log = logging.getLogger(__name__)

BATCH, RATE, WARM_UP, MEASURED = 64, 3e-3, 0.1, 1000
"""Pictures in a step, largest learning rate, share of the steps that lead up to it, pictures whose alignment is measured."""

SIZES = {"rotation": range(-60, 61, 10), "shift_x": range(-15, 16, 5), "scale": (0.5, 0.6, 0.75, 1, 1.25, 1.5)}
"""Of the movements: those that the pictures are trained with."""


class Cell(NamedTuple):
    """One network to train."""

    placement: str
    movement: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.placement}-{self.movement}-{self.seed}-{self.steps}"


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when every cell asked for is in the table, 2 for a mistake in arguments or data, 130 interrupted."""
    return experiment(lambda: _main(arguments))


def _main(arguments: list[str] | None) -> int:
    options = _parse(arguments)
    results = options.results / "invariance-placements.json"

    def show(rows: list[Row]) -> None:
        with written_beside(results.with_suffix(".md")) as beside:
            beside.write_text(table(rows))

    for seed, moved, placement in itertools.product(options.seeds, options.movements, options.placements):
        cell = Cell(placement, moved, seed, options.steps)
        if find_row(results, cell._asdict()):
            log.info("%s is in the table", cell.name)
            continue
        row = _row(cell, options)
        add_rows(results, show, row)
        log.info("%s: %.2f %% error, spread %.2f pixels", cell.name, row["error"], row["spread"]["model"])
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder with MNIST/raw, downloaded there where it is missing")
    parser.add_argument("--placements", choices=PLACEMENTS, nargs="+", default=PLACEMENTS)
    parser.add_argument("--movements", choices=MOVED, nargs="+", default=list(MOVED))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3000, help=f"of each cell, batches of {BATCH} (default: 3000)")
    parser.add_argument("--checkpoint-every", type=int, default=200, metavar="STEPS")
    parser.add_argument("--runs", type=Path, default=Path("runs/invariance"), help="folder of the checkpoints")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the table")
    options = parser.parse_args(arguments)
    if options.steps < 2 or options.checkpoint_every < 1:
        parser.error("--steps must be at least 2 and --checkpoint-every at least 1")
    return options


def _row(cell: Cell, options: argparse.Namespace) -> Row:
    """Train the cell, from its checkpoint where there is one, and measure it."""
    data = _data(cell, cell.movement, options)
    torch.manual_seed(cell.seed)
    model = build_placed(cell.placement, data.input, len(data.class_names))  # type: ignore[arg-type]
    model.to(device_for("auto")).to(memory_format=torch.channels_last)
    seconds = _train(model, data, cell, options)
    model.eval()
    moved = movement(cell.movement, SIZES[cell.movement])
    images, labels = _upright(cell, options)
    (measured,) = report(model, images, labels, [moved]).measured
    alignments = {name: getattr(measured, name) for name in ("model", "held", "identity", "perfect")}
    return {
        **cell._asdict(),
        "error": round(100 * _error(model, data), 3),
        "accuracy": [round(value, 4) for value in measured.accuracy.tolist()],
        "agreement": [round(value, 4) for value in measured.agreement.tolist()],
        "sizes": list(moved.sizes),
        "spread": {name: round(float(each.spread.mean()), 4) for name, each in alignments.items()},
        "parameters": sum(values.numel() for values in model.parameters()),
        "seconds": round(seconds, 1),
        "commit": commit(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {device_name()}",
    }


def _data(cell: Cell, moved: str, options: argparse.Namespace) -> DataModule:
    config = TrainingConfig(
        name="invariance",
        seed=cell.seed,
        data=DataConfig(name="mnist", root=options.data, validation=1 / 60),
        distortion=MOVED[moved],
        trainer=TrainerConfig(max_steps=cell.steps, batch_size=BATCH),
    )
    return DataModule(config)


def _train(model: nn.Module, data: DataModule, cell: Cell, options: argparse.Namespace) -> float:
    """Seconds of training, of all times that it was started."""
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=cell.steps, pct_start=WARM_UP)
    file, first, before = options.runs / cell.name / "last.ckpt", 0, 0.0
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    with contextlib.suppress(FileNotFoundError):
        kept = torch.load(file, weights_only=True, map_location=device)
        first, before = kept["step"], kept["seconds"]
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        log.info("%s goes on at step %d", cell.name, first)
    order, began = Order(data.members, BATCH, cell.seed), time.monotonic()
    for step in range(first, cell.steps):
        images, labels = _batch(data, order[step], step, device)
        loss = F.cross_entropy(model(images).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % options.checkpoint_every == 0 or step + 1 == cell.steps:
            log.info("%s: step %d of %d, loss %.4f", cell.name, step + 1, cell.steps, float(loss.detach()))
            seconds = before + time.monotonic() - began
            states = {name: part.state_dict() for name, part in parts.items()}
            file.parent.mkdir(parents=True, exist_ok=True)
            with written_beside(file) as beside:
                torch.save({**states, "step": step + 1, "seconds": seconds}, beside)
    return before + time.monotonic() - began


def _batch(data: DataModule, members: Tensor, step: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The pictures of a step, distorted: a function of the seed and the step."""
    images, config = data.images[members].to(device).float() / 255, data.config
    chance = generator(config.seed, "train", step, device=device)
    drawn = draw(config.distortion.in_training, (images.shape[2], images.shape[3]), len(images), chance, 0)
    moved = distort(images, drawn, config.distortion, None).contiguous(memory_format=torch.channels_last)
    return moved, data.labels[members].to(device)


def _upright(cell: Cell, options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Test pictures that are not moved, as large as in training where that is one size, amid images of the cell's size."""
    trained = MOVED[cell.movement]
    low, high = trained.scale
    data = DataModule(
        TrainingConfig(
            name="upright",
            data=DataConfig(name="mnist", root=options.data),
            distortion=DistortionConfig(scale=trained.scale if low == high else (1.0, 1.0), size=trained.size),
        )
    )
    batches = list(itertools.islice(data.test, -(-MEASURED // 500)))
    images = torch.cat([batch.images for batch in batches])[:MEASURED].float() / 255
    return images, torch.cat([batch.labels for batch in batches])[:MEASURED]


@torch.no_grad()
def _error(model: nn.Module, data: DataModule) -> float:
    """Share of the test pictures, moved as in training, that are named wrong."""
    device, wrong, count = next(model.parameters()).device, 0, 0
    for images, labels, *_ in data.test:
        wrong += int((model(images.to(device).float() / 255).logits.argmax(-1).cpu() != labels).sum())
        count += len(labels)
    return wrong / count


def table(rows: list[Row]) -> str:
    """Means over the seeds as Markdown, with the least and the largest, a line for each movement and network."""
    lines = [
        "| movement | transformer | steps | seeds | error % | spread, pixels | theta held | best | parameters |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((row["movement"], row["placement"], row["steps"]) for row in rows)
    for key in keys:
        own = [row for row in rows if (row["movement"], row["placement"], row["steps"]) == key]
        error = _mean([row["error"] for row in own])
        pixels = " | ".join(_mean([row["spread"][name] for row in own]) for name in ("model", "held", "perfect"))
        lines.append(f"| {' | '.join(map(str, key))} | {len(own)} | {error} | {pixels} | {own[0]['parameters']:,} |")
    return "\n".join(lines) + "\n"


def _mean(values: list[float]) -> str:
    mean, low, high = (f"{value:.2f}" for value in (sum(values) / len(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


if __name__ == "__main__":
    sys.exit(main())
