"""Trains a preset with and without its transformer and reports both: test error, seconds, parameters.

    python benchmarks/accuracy.py digits --seeds 0 1 2
    python benchmarks/accuracy.py digits --classifiers cnn --seeds 0
    python benchmarks/accuracy.py mnist --root DATA --classifiers st_cnn

Each training is a process of its own, as `stn train` starts it. Every result is added to results/accuracy-PRESET.json as
soon as it is there, in place of an older one of the same classifier and seed; then the table of all of them is printed.
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

from stn import read_model_info
from training.config import TrainingConfig
from training.presets import PRESETS
from training.runs import create_run, write_json

RESULTS = Path(__file__).parents[1] / "results"
CLASSIFIERS = ("st_cnn", "cnn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("--root", help="folder of the data set's files")
    parser.add_argument("--classifiers", choices=CLASSIFIERS, nargs="+", default=CLASSIFIERS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    config = PRESETS[options.preset]()
    if options.root:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=options.root))
    path = RESULTS / f"accuracy-{options.preset}.json"
    runs = json.loads(path.read_text()) if path.exists() else []
    for classifier in options.classifiers:
        for seed in options.seeds:
            result = _train(config, classifier, seed)
            runs = [run for run in runs if (run["classifier"], run["seed"]) != (classifier, seed)] + [result]
            write_json(path, runs)
    _print_table(runs)


def _train(config: TrainingConfig, classifier: Any, seed: int) -> dict[str, Any]:
    config = dataclasses.replace(config, seed=seed, model=dataclasses.replace(config.model, classifier=classifier))
    with tempfile.TemporaryDirectory() as root:
        run = create_run(Path(root), config)
        subprocess.run([sys.executable, "-m", "training", "--resume", run], check=True)
        result = json.loads((run / "result.json").read_text())
        commit = read_model_info(run / "model.safetensors").provenance["commit"]
    return {
        "classifier": classifier,
        "seed": seed,
        "test_error_percent": round(100 * (1 - result["scores"]["test/accuracy"]), 3),
        "training_seconds": round(result["seconds"], 1),
        "parameters": result["parameters"],
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}",
    }


def _print_table(runs: list[dict[str, Any]]) -> None:
    print("| classifier | test error % (each seed) | mean | training seconds | parameters |\n|---|---|---|---|---|")
    for classifier in sorted({run["classifier"] for run in runs}, reverse=True):
        rows = [run for run in runs if run["classifier"] == classifier]
        errors = [run["test_error_percent"] for run in rows]
        seconds = max(run["training_seconds"] for run in rows)
        mean = sum(errors) / len(errors)
        print(f"| {classifier} | {', '.join(map(str, errors))} | {mean:.2f} | {seconds} | {rows[0]['parameters']} |")


if __name__ == "__main__":
    main()
