"""The run folder: everything that one training run reads and writes.

config.json           the whole config
checkpoints/          last.ckpt, to go on from, and best.ckpt, by validation loss
metrics.jsonl         one line per epoch
log.txt               what was logged
tensorboard/          the same numbers, and pictures
samples/              test pictures with the sampled region, and what the network made of them
model.safetensors     the best weights, ready to be served
report/               index.html: scores, curves, confusion matrix and mistakes on the test pictures
result.json           written last: scores, seconds, parameters
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stn.config import from_dict, to_dict
from training.config import TrainingConfig


def create_run(root: Path, config: TrainingConfig) -> Path:
    """A new run folder with its config.json, named after the time and the config's name."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{config.name}"
    for attempt in range(1000):
        run = root / (f"{name}-{attempt}" if attempt else name)
        with contextlib.suppress(FileExistsError):
            return make_run(run, config)
    raise FileExistsError(f"{root} has too many runs named {name}")


def make_run(run: Path, config: TrainingConfig) -> Path:
    """This new run folder with its config.json, or a FileExistsError."""
    run.mkdir(parents=True)
    write_json(run / "config.json", to_dict(config))
    return run


def find_unfinished(root: Path, config: TrainingConfig) -> Path | None:
    """The newest run of exactly this config that was stopped before its end and is not running, or None."""
    for path in sorted(root.glob("*/config.json"), reverse=True):
        with contextlib.suppress(ValueError):
            unfinished = not (path.parent / "result.json").exists() and not is_held(path.parent)
            if unfinished and read_config(path) == config:
                return path.parent
    return None


def read_config(path: Path) -> TrainingConfig:
    """The config in this JSON file, or a ValueError that names the file and the field."""
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"config must be a file that exists, got {str(path)!r}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a JSON file ({error})") from None
    return from_dict(TrainingConfig, values)


@contextlib.contextmanager
def hold(run: Path) -> Iterator[None]:
    """Keep the run folder to this process, or a ValueError where another process runs it.

    The lock goes with the process, however that ends.
    """
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"run must be one that no other process is running, got {str(run)!r}") from None
        yield


def is_held(run: Path) -> bool:
    """Whether a process runs in this folder now."""
    try:
        with hold(run):
            return False
    except ValueError:
        return True


def write_json(path: Path, values: Any) -> None:
    """Write beside the place and rename, so that a reader never sees half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(values, indent=2) + "\n")
    os.replace(beside, path)
