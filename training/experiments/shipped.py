"""Trains the model that comes with the package, and writes it where the service finds it.

    python -m training.experiments.shipped --data DATA

It is the preset `handwriting`, scored on three fixed test sets besides its own: MNIST as it is in the centre of 42x42
pixels, the paper's RTS, and RTS with perspective and bending. A model that is too large or makes too many mistakes on RTS
is not written. Started again, the command goes on with the run that was cut short.
"""

import argparse
import dataclasses
import logging
import shlex
import sys
from pathlib import Path

from tqdm import tqdm

from stn import load_model, read_model_info, save_model
from stn.config import to_dict
from training.config import DistortionConfig
from training.evaluation import evaluate
from training.evaluation_data import Request, read_pictures
from training.experiments.cells import with_steps
from training.experiments.command import experiment
from training.experiments.train_in import train_in
from training.presets import handwriting
from training.recipes import DISTORTIONS
from training.trained import read_trained

log = logging.getLogger(__name__)

MOST_BYTES = 1_700_000
"""Of the file."""

TESTS = {
    "centred": DistortionConfig(size=(42, 42)),
    "RTS": DISTORTIONS["RTS"],
    "RTS, bent": dataclasses.replace(DISTORTIONS["RTS"], corners=1.0, elastic=0.5),
}
"""By the name in the file's scores."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the model is written, 2 when it is not good enough or the run failed."""
    return experiment(lambda: _main(arguments))


def _main(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder with MNIST/raw, downloaded there where it is missing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help=f"{handwriting().trainer.max_steps} by default")
    parser.add_argument("--runs", type=Path, default=Path("runs/shipped"), help="folder of the run folder")
    parser.add_argument("--most-error", type=float, default=0.6, help="on RTS, in %% (default: 0.6)")
    parser.add_argument("--output", type=Path, default=Path("service/models/shipped/handwriting.safetensors"))
    options = parser.parse_args(arguments)
    file = _train(options)
    _write(file, _score(file, options), options)
    return 0


def _train(options: argparse.Namespace) -> Path:
    """The model file of the run, which is trained where it is not there yet."""
    preset = handwriting()
    steps = options.steps or preset.trainer.max_steps
    assert steps is not None, "the preset counts steps"
    run: Path = options.runs / f"seed-{options.seed}-steps-{steps}"
    data = dataclasses.replace(preset.data, root=options.data)
    train_in(run, lambda: with_steps(dataclasses.replace(preset, seed=options.seed, data=data), steps))
    return run / "model.safetensors"


def _score(file: Path, options: argparse.Namespace) -> dict[str, float]:
    """Its own scores and the accuracy on each of the test sets, or a ValueError where it is not to be shipped."""
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file} must have at most {MOST_BYTES:,} bytes, got {file.stat().st_size:,}")
    trained = read_trained(file.parent)
    scores = dict(trained.info.scores)
    for name, distortion in tqdm(TESTS.items(), desc="tests", disable=not sys.stderr.isatty()):
        pictures = read_pictures(trained, Request({"name": "mnist", "root": options.data}, to_dict(distortion), "test"))
        accuracy = evaluate(trained.model, pictures.batches(), trained.info.class_names).accuracy
        scores[f"{name}/accuracy"] = round(accuracy, 6)
        log.info("%s: %.2f %% error", name, 100 * (1 - accuracy))
    error = 100 * (1 - scores["RTS/accuracy"])
    if error > options.most_error + 1e-6:
        raise ValueError(f"error on RTS must be at most {options.most_error:g} %, got {error:.2f} % ({file})")
    return scores


def _write(file: Path, scores: dict[str, float], options: argparse.Namespace) -> None:
    info = read_model_info(file)
    arguments = ["--seed", str(options.seed), "--most-error", str(options.most_error)]
    arguments += ["--steps", str(options.steps)] if options.steps else []
    command = shlex.join(["python", "-m", "training.experiments.shipped", *arguments])
    info = dataclasses.replace(info, scores=scores, provenance={**info.provenance, "command": command})
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_model(options.output, load_model(file), info)
    log.info("%s: %d bytes", options.output, options.output.stat().st_size)


if __name__ == "__main__":
    sys.exit(main())
