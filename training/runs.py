"""The run folder: everything that one training run reads and writes.

config.json           the whole config
data.json             by what the pictures are known again
checkpoints/          last.ckpt, to go on from, and best.ckpt, by validation loss
metrics.jsonl         one line per validation
log.txt               what was logged
tensorboard/          the same numbers, and pictures
samples/              test pictures with the sampled region, and what the network made of them
model.safetensors     the best weights, ready to be served
report/               index.html: scores, curves, confusion matrix and mistakes on the test pictures
result.json           written last: scores, seconds, parameters
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stn.config import from_dict, to_dict
from stn.whole_file import written_beside
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
    """This new run folder with its config.json, whose paths hold from everywhere.

    Raises:
        FileExistsError: something lies in it.
    """
    data = config.data
    if data.name != "digits":  # which lie nowhere
        cache = data.cache and os.path.abspath(data.cache)
        data = dataclasses.replace(data, root=os.path.abspath(data.root), cache=cache)
    run.mkdir(parents=True, exist_ok=True)
    if any(run.iterdir()):
        raise FileExistsError(errno.EEXIST, "a new run folder must not exist, or be empty", str(run))
    try:
        write_json(run / "config.json", to_dict(dataclasses.replace(config, data=data)))
    except OSError:
        with contextlib.suppress(OSError):
            run.rmdir()
        raise
    return run


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
    with (run / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = f" (process {file.read()} does)"
            raise ValueError(f"run must be one that no other process is running, got {str(run)!r}{holder}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def clear_leftovers(run: Path) -> None:
    """Remove what a kill left half written in a run folder that no process runs."""
    for folder in (run, run / "checkpoints", run / "samples"):
        for path in filter(Path.is_file, folder.glob(".*.*")):
            path.unlink()


def write_json(path: Path, values: Any) -> None:
    """Write beside the place and rename, so that a reader never sees half a file."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(values, indent=2) + "\n")
