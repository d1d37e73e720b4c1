"""One run of an experiment that may be started again."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from training.config import TrainingConfig
from training.runs import make_run, read_config

log = logging.getLogger(__name__)


def train_in(run: Path, config: Callable[[], TrainingConfig]) -> TrainingConfig:
    """Train in this run folder: a new one of this config, one that was cut short, or not at all where it is finished.

    Returns:
        The config of the folder.

    Raises:
        subprocess.CalledProcessError: the run failed.
    """
    if not (run / "config.json").exists():
        make_run(run, config())
    found = read_config(run / "config.json")
    if not (run / "result.json").exists():
        log.info("%s, %d steps: %s", found.name, found.trainer.max_steps, run)
        subprocess.run([sys.executable, "-m", "training", "--resume", str(run)], check=True)
    return found
