"""Trains a preset with and without its transformer and reports both: test error, seconds, parameters.

    python benchmarks/accuracy.py digits --seeds 0 1 2
    python benchmarks/accuracy.py mnist --root DATA --seeds 0

Each training is a process of its own, as `stn train` starts it. Writes results/accuracy-PRESET.json and prints a table.
"""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from training.config import TrainingConfig
from training.presets import PRESETS
from training.runs import create_run, write_json

RESULTS = Path(__file__).parents[1] / "results"
CLASSIFIERS = ("st_cnn", "cnn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("--root", help="folder of the data set's files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    config = PRESETS[options.preset]()
    if options.root:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=options.root))
    commit = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True)
    runs = [_train(config, classifier, seed) for classifier in CLASSIFIERS for seed in options.seeds]
    write_json(
        RESULTS / f"accuracy-{options.preset}.json",
        {
            "command": f"python benchmarks/accuracy.py {options.preset} --seeds {' '.join(map(str, options.seeds))}",
            "commit": commit.stdout.strip(),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}",
            "runs": runs,
        },
    )
    _print_table(runs)


def _train(config: TrainingConfig, classifier: Any, seed: int) -> dict[str, Any]:
    config = dataclasses.replace(config, seed=seed, model=dataclasses.replace(config.model, classifier=classifier))
    with tempfile.TemporaryDirectory() as root:
        run = create_run(Path(root), config)
        subprocess.run([sys.executable, "-m", "training", "--resume", run], check=True)
        result = json.loads((run / "result.json").read_text())
    return {
        "classifier": classifier,
        "seed": seed,
        "test_error_percent": round(100 * (1 - result["scores"]["test/accuracy"]), 3),
        "training_seconds": round(result["seconds"], 1),
        "parameters": result["parameters"],
    }


def _print_table(runs: list[dict[str, Any]]) -> None:
    print("| classifier | test error % (each seed) | mean | training seconds | parameters |\n|---|---|---|---|---|")
    for classifier in CLASSIFIERS:
        rows = [run for run in runs if run["classifier"] == classifier]
        errors = [run["test_error_percent"] for run in rows]
        seconds = max(run["training_seconds"] for run in rows)
        mean = sum(errors) / len(errors)
        print(f"| {classifier} | {', '.join(map(str, errors))} | {mean:.2f} | {seconds} | {rows[0]['parameters']} |")


if __name__ == "__main__":
    main()
