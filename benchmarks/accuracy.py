"""Trains a preset with and without its transformer and reports both: test error, seconds, parameters.

    python benchmarks/accuracy.py digits --seeds 0 1 2
    python benchmarks/accuracy.py digits --transforms none --seeds 0
    python benchmarks/accuracy.py mnist --root DATA --transforms affine
    python benchmarks/accuracy.py mnist --root DATA --classifiers fcn cnn --transforms none affine projective

Each training is a process of its own, as `stn train` starts it. Every result is added to results/accuracy-PRESET.json as
soon as it is there, in place of an older one of the same classifier, transform and seed; then the table of all of them is
printed.
"""

import argparse
import dataclasses
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch

from stn import ModelConfig, read_model_info
from training.config import TrainingConfig
from training.presets import PRESETS
from training.runs import create_run, write_json

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("--root", help="folder of the data set's files")
    hints = get_type_hints(ModelConfig)
    parser.add_argument("--classifiers", choices=get_args(hints["classifier"]), nargs="+", default=["convnet"])
    parser.add_argument("--transforms", choices=get_args(hints["transform"]), nargs="+", default=["affine", "none"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    config = PRESETS[options.preset]()
    if options.root:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=options.root))
    path = RESULTS / f"accuracy-{options.preset}.json"
    runs = json.loads(path.read_text()) if path.exists() else []
    for which in itertools.product(options.classifiers, options.transforms, options.seeds):
        result = _train(config, *which)
        runs = [run for run in runs if (run["classifier"], run["transform"], run["seed"]) != which] + [result]
        write_json(path, runs)
    _print_table(runs)


def _train(config: TrainingConfig, classifier: Any, transform: Any, seed: int) -> dict[str, Any]:
    model = dataclasses.replace(config.model, classifier=classifier, transform=transform)
    if classifier != config.model.classifier:  # the preset's widths are those of its own classifier
        model = dataclasses.replace(model, filters=None, units=None)
    config = dataclasses.replace(config, seed=seed, model=model)
    with tempfile.TemporaryDirectory() as root:
        run = create_run(Path(root), config)
        subprocess.run([sys.executable, "-m", "training", "--resume", run], check=True)
        result = json.loads((run / "result.json").read_text())
        commit = read_model_info(run / "model.safetensors").provenance["commit"]
    return {
        "classifier": classifier,
        "transform": transform,
        "seed": seed,
        "test_error_percent": round(100 * (1 - result["scores"]["test/accuracy"]), 3),
        "training_seconds": round(result["seconds"], 1),
        "parameters": result["parameters"],
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}",
    }


def _print_table(runs: list[dict[str, Any]]) -> None:
    print("| classifier | transform | test error % (each seed) | mean | training seconds | parameters |")
    print("|---|---|---|---|---|---|")
    for classifier, transform in sorted({(run["classifier"], run["transform"]) for run in runs}):
        rows = [run for run in runs if (run["classifier"], run["transform"]) == (classifier, transform)]
        errors = [run["test_error_percent"] for run in rows]
        seconds = max(run["training_seconds"] for run in rows)
        cells = [classifier, transform, ", ".join(map(str, errors)), f"{sum(errors) / len(errors):.2f}", seconds]
        print("|", " | ".join(map(str, [*cells, rows[0]["parameters"]])), "|")


if __name__ == "__main__":
    main()
