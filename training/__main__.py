"""`python -m training`: one training run in this process."""

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from training.child import interruptible
from training.memory import keep_memory

if TYPE_CHECKING:
    from training.attempts import Attempt
    from training.config import TrainingConfig
    from training.runs import Work
    from training.trainer import Spread

log = logging.getLogger("training")

SPINS = "5000"
"""How often a thread of torch's looks for work before it sleeps. With libgomp's own 300,000, beside a process that keeps one
of two processors busy, 300 steps of the preset `digits` in two threads take more than 100 s instead of 21; alone as long."""

PATIENCE = 60.0
"""Seconds that a process of a worker waits for one of an earlier attempt, which ends when it sees that it was superseded."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the model is written, 2 for a mistake in config or data, 3 where the disk is full or not writable,
    4 where another attempt has the run, 5 where something could not be downloaded, 6 where memory ran out, 130 when
    interrupted or paused.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # before torch brings libgomp, which reads it once
    keep_memory()
    return interruptible(lambda: work(arguments))  # by SIGTERM, Lightning would end a test as if it were done


def work(arguments: list[str] | None, spread: "Callable[[], Spread] | None" = None) -> int:
    """The same, without a word on signals.

    Args:
        spread: called where neither Lightning nor torchrun nor SLURM started the processes of the run.
    """
    # Only now, so that Ctrl-C during the long imports ends in good order too.
    from training.attempts import Attempt, Fenced
    from training.config import TrainingConfig
    from training.failures import MISTAKE, exit_code, leave_word, memory_told
    from training.runs import Held, is_finished, remove_bare

    options = _parse(arguments)
    first, run = _rank() == 0, None
    try:
        run, work = _prepare(options) if first else _join(options)
        if is_finished(run):  # for all processes, of which none may wait for another
            sys.stderr.write(f"the run is finished: {run}\n" * first)
            return 0
        if isinstance(work, TrainingConfig):
            _check_processes(work, spread is not None)
        attempt = None if options.attempt is None else Attempt(run, options.attempt)
        with _held(run, attempt) if first else nullcontext():
            if not (first and is_finished(run)):  # by an earlier attempt that was waited for
                with memory_told(_needing_less(work)):
                    _do(work, run, attempt, spread)
        return 0
    except (Fenced, ValueError, OSError) as error:
        log.debug("the run ended with an error", exc_info=True)
        sys.stderr.write(f"error: {error}\n")
        if isinstance(error, Fenced) or (isinstance(error, Held) and options.attempt is not None):
            return 4
        code = exit_code(error, options.resume)
        if code == MISTAKE and first and run is not None and options.resume is None:
            remove_bare(run)
        if first and options.attempt is not None:
            leave_word(Attempt(options.resume, options.attempt), code, str(error))
        return code


@contextmanager
def _held(run: Path, attempt: "Attempt | None") -> Iterator[None]:
    """The run folder for this process alone, ready to go on."""
    from training.runs import clear_leftovers, hold, set_aside

    with hold(run, 0.0 if attempt is None else PATIENCE):
        if attempt is not None:
            attempt.check()
        clear_leftovers(run)
        set_aside(run)
        _set_up_logging(run)
        # What Lightning starts for further devices goes on with this run.
        sys.argv[1:] = ["--resume", str(run), *(() if attempt is None else ("--attempt", str(attempt.started)))]
        yield


def _check_processes(config: "TrainingConfig", is_spread: bool) -> None:
    """A ValueError where other processes were started than the config shares each batch among, or none."""
    for rank, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if os.environ.get(rank) and os.environ.get(count):
            trainer, started = config.trainer, int(os.environ[count])
            if trainer.devices * trainer.nodes != started:
                rule = f"the {started} processes that were started together ({count})"
                raise ValueError(
                    f"trainer.devices x trainer.nodes must be {rule}, got {trainer.devices} x {trainer.nodes}"
                )
            return
    if config.trainer.nodes > 1 and not is_spread and "MASTER_ADDR" not in os.environ:
        rule = "1 where neither torchrun nor SLURM nor Ray starts the processes of other machines"
        raise ValueError(f"trainer.nodes must be {rule}, got {config.trainer.nodes}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    from training.presets import PRESETS

    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train a spatial transformer classifier and write a run folder with checkpoints and model file.",
    )
    parser.add_argument(
        "config", nargs="?", help=f"a preset ({', '.join(PRESETS)}) or a JSON file with a whole training config"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for new run folders (default: runs)")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="RUN",
        help="the run folder to make; where torchrun or SLURM starts many processes, they share it",
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with this run folder, from its last checkpoint where it has one",
    )
    parser.add_argument(
        "--attempt",
        type=int,
        metavar="N",
        help="the number of this start of a job: what a worker asks for in the run folder is done, and nothing is "
        "published once a later one has it",
    )
    options = parser.parse_args(arguments)
    if (options.config is None) == (options.resume is None):
        parser.error("name either a preset or config file, or --resume RUN")
    if options.resume is not None and options.into is not None:
        parser.error("--into makes a new run folder; --resume names one that is there")
    return options


def _rank() -> int:
    """The number of this process among those that train together, as torchrun, SLURM or Lightning says."""
    names = [name for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if os.environ.get(name)]
    return int(os.environ[names[0]]) if names else 0


def _prepare(options: argparse.Namespace) -> "tuple[Path, Work]":
    """The run folder, made if it is a new one, and its config."""
    from training.presets import PRESETS
    from training.runs import create_run, make_run, read_config, read_work

    if options.resume is not None:
        return options.resume, read_work(options.resume / "config.json")
    config = PRESETS[options.config]() if options.config in PRESETS else read_config(Path(options.config))
    return make_run(options.into, config) if options.into is not None else create_run(options.runs, config), config


def _join(options: argparse.Namespace) -> "tuple[Path, TrainingConfig]":
    """The run folder that the first of several processes makes, once it is there."""
    from training.runs import read_config

    run = options.resume or options.into
    if run is None:
        raise ValueError("--into must name the run folder where several processes train together, got nothing")
    path = run / "config.json"
    for _ in range(600):
        if path.exists():
            break
        time.sleep(0.1)
    return run, read_config(path)


def _needing_less(work: "Work") -> str:
    """Advice for where memory ran out."""
    from training.config import TrainingConfig

    pictures = "smaller pictures (data.size, distortion.size)"
    return (
        f"less is needed with a trainer.batch_size below {work.trainer.batch_size} or {pictures}"
        if isinstance(work, TrainingConfig)
        else "less is needed with smaller pictures"
    )


def _do(work: "Work", run: Path, attempt: "Attempt | None", spread: "Callable[[], Spread] | None") -> None:
    """Import and run Lightning without its advertisements and its advice on data loaders."""
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
    warnings.filterwarnings(
        "ignore", "Grad strides do not match bucket view strides"
    )  # of a 1x1 weight; they are as good
    from training.light_imports import import_torchmetrics_alone, uncollected

    with uncollected():
        import_torchmetrics_alone()
        from training.config import TrainingConfig
        from training.fit import fit
        from training.invariance_job import measure_as_job
        from training.progress import write_progress

    if attempt is not None and _rank() == 0:
        write_progress(attempt, "data")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    if isinstance(work, TrainingConfig):
        fit(work, run, attempt, None if spread is None else spread())
    else:
        measure_as_job(work, run, attempt)


def _set_up_logging(run: Path) -> None:
    logging.raiseExceptions = False  # a disk too full for the log ends the run where something else is written
    log.setLevel(logging.DEBUG)
    terminal, file = logging.StreamHandler(), logging.FileHandler(run / "log.txt")
    terminal.setLevel(logging.INFO)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(terminal)
    log.addHandler(file)


if __name__ == "__main__":
    sys.exit(main())
