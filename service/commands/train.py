"""`stn train`: a training run in a process of its own, then its model among those that are served."""

import logging
import signal
import sys
from pathlib import Path

from service.models.shelf import open_shelf
from service.settings import Settings
from training.child import run_module
from training.config import TrainingConfig
from training.failures import MISTAKE, exit_code
from training.runs import create_run, is_finished, read_config, remove_bare

log = logging.getLogger(__name__)


def train(config: TrainingConfig, settings: Settings) -> int:
    """Train in a new run folder and register the model; the exit code of the training process."""
    try:
        run = create_run(settings.runs, config)
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        return exit_code(error, None)
    code = resume(run, settings)
    if code == MISTAKE:
        remove_bare(run)
    return code


def resume(run: Path, settings: Settings) -> int:
    """Go on with a run, from its last checkpoint where it has one, and register the model; once, where it is finished."""
    name, shelf = read_config(run / "config.json").name, open_shelf(settings)
    if is_finished(run):
        version = shelf.find(name, run / "model.safetensors")
        if version is not None:
            log.info("the run is finished; its model is %s, version %d", name, version)
            return 0
    code = run_module("training", "--resume", str(run))
    if code == 0:
        try:
            version = shelf.register(name, run / "model.safetensors")
        except OSError as error:
            log.info("error: %s\nthe model is not served; once it can be: stn train --resume %s", error, run)
            return exit_code(error, None)
        log.info("model %s, version %d, is ready to be served (run folder %s)", name, version, run)
    elif code != MISTAKE:
        if code == 128 + signal.SIGKILL:
            log.info("the training process was killed by SIGKILL, as the kernel does where memory runs out")
        log.info("the run did not finish; go on with it: stn train --resume %s", run)
    return code
