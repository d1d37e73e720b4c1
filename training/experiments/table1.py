"""Trains the cells of Table 1 of Jaderberg et al. 2015 and writes it beside the paper's own.

    python -m training.experiments.table1 --data DATA --models st-cnn-affine cnn --steps 5000
    python -m training.experiments.table1 --data DATA --recipe paper --steps 150000 --seeds 0 1 2 --at-once 5

Each cell is a run of its own (`python -m training`), in a run folder named after the cell: started again, the command goes
on with the run that was cut short and skips what is finished. After each cell it writes table1.json, table1.md and
table1.png into the results folder. Several of these commands, for different cells, may share one table.
"""

import argparse
import dataclasses
import itertools
import json
import logging
import platform
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from stn.model_info import read_model_info
from training.child import start_module
from training.config import TrainingConfig
from training.experiments.cells import MODELS, PAPER, Cell, Recipe, config_of, with_steps
from training.experiments.command import experiment
from training.experiments.rows import Row, add_rows, find_row
from training.experiments.table import write_table
from training.experiments.train_in import ChildFailed, train, train_in
from training.recipes import DISTORTIONS
from training.runs import make_run

log = logging.getLogger(__name__)

CALIBRATION = 20
"""Steps that are timed to turn minutes into steps."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when every cell asked for is in the table, 2 for a mistake in the arguments or a run that failed."""
    return experiment(lambda: _main(arguments))


def _main(arguments: list[str] | None) -> int:
    options = _parse(arguments)
    cells = [Cell(*each) for each in itertools.product(options.models, options.distortions, options.seeds)]
    waiting = [cell for cell in cells if not _found(cell, options)]
    for cell in cells:
        if cell not in waiting:
            log.info("%s is in the table", cell.name)
    with tqdm(total=len(waiting), desc="cells", unit="cell", disable=not sys.stderr.isatty()) as bar:
        failed = (_one_by_one if options.at_once == 1 else _at_once)(waiting, options, bar)
    _write(options)
    if failed:
        sys.stderr.write(f"error: {len(failed)} of {len(cells)} cells failed: {', '.join(failed)}\n")
    return 2 if failed else 0


def _one_by_one(cells: list[Cell], options: argparse.Namespace, bar: "tqdm[Any]") -> list[str]:
    """Train these cells; the names of those that failed."""
    failed = []
    for cell in cells:
        try:
            _write(options, _train(cell, options))
            _tell(cell, options)
        except (ChildFailed, ValueError, OSError) as error:
            failed.append(cell.name)
            log.warning("%s failed (%s); going on with the next", cell.name, error)
        bar.update()
    return failed


def _at_once(cells: list[Cell], options: argparse.Namespace, bar: "tqdm[Any]") -> list[str]:
    """The same, several at a time: each by a command of its own, which says what it has to say in a file."""
    failed: list[str] = []
    waiting, running = cells[::-1], dict[Cell, "subprocess.Popen[bytes]"]()
    options.runs.mkdir(parents=True, exist_ok=True)
    try:
        while waiting or running:
            while waiting and len(running) < options.at_once:
                cell = waiting.pop()
                with _log_of(cell, options).open("wb") as file:
                    running[cell] = start_module("training.experiments.table1", *_alone(cell, options), stderr=file)
            for cell in [cell for cell, process in running.items() if process.poll() is not None]:
                if running.pop(cell).returncode == 0:
                    _tell(cell, options)
                else:
                    failed.append(cell.name)
                    log.warning("%s failed (%s); going on with the next", cell.name, _log_of(cell, options))
                bar.update()
            time.sleep(0.1)
    finally:  # which are none but after an error or a Ctrl-C
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait()
    return failed


def _alone(cell: Cell, options: argparse.Namespace) -> list[str]:
    """The arguments that train this cell."""
    budget = ["--minutes", str(options.minutes)] if options.minutes else ["--steps", str(options.steps or 150_000)]
    places = [word for name in ("data", "runs", "results") for word in (f"--{name}", str(getattr(options, name)))]
    chosen = ["--models", cell.model, "--distortions", cell.distortion, "--seeds", str(cell.seed)]
    return [*chosen, "--recipe", options.recipe, *budget, *places]


def _log_of(cell: Cell, options: argparse.Namespace) -> Path:
    return options.runs / f"{cell.name}.log"


def _tell(cell: Cell, options: argparse.Namespace) -> None:
    row = _found(cell, options)
    assert row is not None, "the cell was trained"
    log.info("%s: %.2f %% error, paper %s", cell.name, row["error"], PAPER[cell.model].get(cell.distortion, "-"))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="stn table1", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data", help="folder with MNIST/raw, downloaded there where it is missing")
    parser.add_argument("--models", choices=MODELS, nargs="+", default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--distortions", choices=DISTORTIONS, nargs="+", default=list(DISTORTIONS), metavar="D")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipe", choices=get_args(Recipe), default="modern")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="of each cell, batches of 256; 150000 by default, as in the paper")
    budget.add_argument("--minutes", type=float, help="of each cell: as many steps as this machine makes in them")
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        metavar="N",
        help="cells that are trained at a time; what they say is in files",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/table1"), help="folder of the run folders")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the table")
    options = parser.parse_args(arguments)
    if options.at_once < 1:
        parser.error(f"--at-once must be at least 1, got {options.at_once}")
    return options


def _found(cell: Cell, options: argparse.Namespace) -> Row | None:
    """The row of the table that is this cell, trained with this recipe for this budget, or None."""
    wanted = {**dataclasses.asdict(cell), "recipe": options.recipe, "budget": _budget(options)}
    return find_row(options.results / "table1.json", wanted)


def _write(options: argparse.Namespace, *new: Row) -> None:
    add_rows(options.results / "table1.json", partial(write_table, options.results), *new)


def _budget(options: argparse.Namespace) -> str:
    return f"{options.minutes:g} minutes" if options.minutes else f"{options.steps or 150_000} steps"


def _train(cell: Cell, options: argparse.Namespace) -> Row:
    recipe: Recipe = options.recipe
    run = options.runs / recipe / _budget(options).replace(" ", "-") / cell.name
    config = train_in(run, lambda: _config(cell, options))
    result = json.loads((run / "result.json").read_text())
    provenance = read_model_info(run / "model.safetensors").provenance
    return {
        "model": cell.model,
        "distortion": cell.distortion,
        "seed": cell.seed,
        "recipe": recipe,
        "budget": _budget(options),
        "error": round(100 * (1 - result["scores"]["test/accuracy"]), 3),
        "parameters": result["parameters"],
        "images": result["steps"] * config.trainer.batch_size,
        "seconds": round(result["seconds"], 1),
        "commit": provenance["commit"],
        "torch": provenance["torch"],
        "machine": f"{platform.machine()}, {provenance['device']}",
    }


def _config(cell: Cell, options: argparse.Namespace) -> TrainingConfig:
    steps = options.steps or 150_000
    config = config_of(cell, options.recipe, steps, options.data)
    if options.minutes is None:
        return config
    # Validations and checkpoints take some of the minutes too.
    steps = max(10, int(0.95 * 60 * options.minutes / _seconds_per_step(config)))
    return config_of(cell, options.recipe, steps, options.data)


def _seconds_per_step(config: TrainingConfig) -> float:
    """The median time of a step of this run, on this machine, now."""
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "calibration", with_steps(config, CALIBRATION))
        began = time.monotonic()
        train(run)
        result = json.loads((run / "result.json").read_text())
        log.info("calibration took %.0f s", time.monotonic() - began)
        return float(result["seconds_per_step"])


if __name__ == "__main__":
    sys.exit(main())
