"""One run of an experiment that may be started again."""

import logging
from collections.abc import Callable
from pathlib import Path

from training.child import run_module
from training.config import TrainingConfig
from training.runs import make_run, read_config

log = logging.getLogger(__name__)


class ChildFailed(Exception):
    """A run that did not end well; it has said why."""


def train_in(run: Path, config: Callable[[], TrainingConfig]) -> TrainingConfig:
    """Train in this run folder: a new one of this config, one that was cut short, or not at all where it is finished.

    Returns:
        The config of the folder.

    Raises:
        ChildFailed: the run failed.
        KeyboardInterrupt: it was stopped.
    """
    if not (run / "config.json").exists():
        make_run(run, config())
    found = read_config(run / "config.json")
    if not (run / "result.json").exists():
        log.info("%s, %d steps: %s", found.name, found.trainer.max_steps, run)
        train(run)
    return found


def train(run: Path) -> None:
    """Train in this run folder until it is finished; the exceptions are those of `train_in`."""
    code = run_module("training", "--resume", str(run))
    if code == 130:
        raise KeyboardInterrupt
    if code != 0:
        raise ChildFailed(f"exit code {code}")
