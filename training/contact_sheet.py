"""`python -m training.contact_sheet`: a picture of what distortions do to a data set; `stn distort` starts it."""

import argparse
import json
import sys
from pathlib import Path

import torch

from stn.config import from_dict
from stn.types import Images
from training.child import interruptible
from training.config import DataConfig, DistortionConfig
from training.data import DATASETS
from training.data.labelled import DataSet
from training.distortions import distort, draw
from training.pictures import distortion_sheet
from training.randomness import generator


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the sheet is written, 2 for a mistake in the arguments or data, 130 when interrupted."""
    return interruptible(lambda: _write(_parse(arguments)))


def _write(options: argparse.Namespace) -> int:
    try:
        data = from_dict(DataConfig, json.loads(options.data), "data")
        asked = {name: from_dict(DistortionConfig, row, name) for name, row in json.loads(options.rows).items()}
        configs = {name: config.in_training for name, config in asked.items()}
        rows = distort_rows(DATASETS[data.name](data), configs, options.columns, options.seed)
        distortion_sheet(rows, {name: describe(config) for name, config in configs.items()}).save(options.output)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{options.output}\n")
    return 0


def distort_rows(data: DataSet, configs: dict[str, DistortionConfig], columns: int, seed: int = 0) -> dict[str, Images]:
    """As many pictures as there are columns, spread evenly over the training part, distorted by each config."""
    chosen = data.train[torch.linspace(0, len(data.train) - 1, columns).round().long()]
    images, others = data.images[chosen], data.images[data.train[:1000]]
    rows = {}
    for name, config in configs.items():
        source = (images.shape[2], images.shape[3])
        drawn = draw(config, source, columns, generator(seed, "sheet", name), len(others))
        rows[name] = distort(images.float() / 255, drawn, config, others)
    return rows


def describe(config: DistortionConfig) -> list[str]:
    """What a config asks for, a short line for each thing, in the order in which it is done."""
    (low, high), side = config.scale, config.clutter_size
    height, width = config.size or (0, 0)
    lines = [
        (config.rotation, f"turned by up to {config.rotation:g} degrees"),
        (config.scale != (1.0, 1.0), f"scaled by {low:g} to {high:g}"),
        (config.size, f"in {height}x{width} pixels"),
        (config.translation, "anywhere in the image"),
        (config.corners, f"corners moved by about {config.corners:g} pixels"),
        (config.elastic, f"4x4 points moved by about {config.elastic:g} pixels"),
        (config.clutter, f"with {config.clutter} pieces of {side}x{side} pixels"),
    ]
    return [line for asked, line in lines if asked] or ["as they are"]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.contact_sheet", description=__doc__)
    parser.add_argument("--data", required=True, help="the data set: a DataConfig as JSON")
    parser.add_argument("--rows", required=True, help="the rows: an object of DistortionConfigs by name, as JSON")
    parser.add_argument("--columns", type=int, default=10, help="pictures (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="decides what is drawn (default: 0)")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
