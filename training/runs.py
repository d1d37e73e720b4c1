"""The run folder: everything that one training run reads and writes.

config.json           the whole config
data.json             by what the pictures are known again
checkpoints/          last.ckpt, to go on from, and best.ckpt, by validation loss; stopped.ckpt, where a stop found better
metrics.jsonl         one line per validation
log.txt               what was logged
tensorboard/          the same numbers, and pictures
samples/              test pictures with the sampled region, and what the network made of them
probe/                what the network made of the same few pictures, a file per validation; see `training.probe_folder`
model.safetensors     the best weights, ready to be served
report/               index.html: scores, curves, confusion matrix and mistakes on the test pictures
result.json           written last: scores, seconds, parameters; "status" is "stopped" where the run may still go on

The run folder of a measurement of invariance has config.json, log.txt, report/ and result.json alone.

A worker adds console.txt, all that was printed, and what `training.attempts` describes.
"""

import contextlib
import dataclasses
import errno
import fcntl
import filecmp
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from stn.config import from_dict, to_dict
from stn.whole_file import written_beside
from training.config import TrainingConfig
from training.invariance_config import InvarianceJob
from training.probe_folder import FOLDER

Work = TrainingConfig | InvarianceJob
"""What a run folder is for."""


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
    run.mkdir(parents=True, exist_ok=True)
    if any(run.iterdir()):
        raise FileExistsError(errno.EEXIST, "a new run folder must not exist, or be empty", str(run))
    try:
        write_json(run / "config.json", to_dict(_from_everywhere(config)))
    except OSError:
        with contextlib.suppress(OSError):
            run.rmdir()
        raise
    return run


def remove_bare(run: Path) -> None:
    """Remove a run folder in which nothing has begun: one of a config that was refused."""
    with contextlib.suppress(OSError):
        if {file.name for file in run.iterdir()} <= {"config.json", "log.txt", ".lock"}:
            for file in run.iterdir():
                file.unlink()
            run.rmdir()


def prepare_run(run: Path, work: Work) -> None:
    """The same for a job, where it may be there already, or half made."""
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "config.json").exists():
        write_json(run / "config.json", to_dict(_from_everywhere(work)))


def place_run(run: Path, work: Work) -> None:
    """Give a run folder, which may be there already, the config with the paths of this machine."""
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", to_dict(_from_everywhere(work)))


def _from_everywhere(config: Work) -> Work:
    if isinstance(config, InvarianceJob):
        return config
    data = config.data
    if data.name == "digits":  # which lie nowhere
        return config
    cache = data.cache and os.path.abspath(data.cache)
    return dataclasses.replace(config, data=dataclasses.replace(data, root=os.path.abspath(data.root), cache=cache))


def read_config(path: Path) -> TrainingConfig:
    """The config of a training in this JSON file, or a ValueError that names the file and the field."""
    work = read_work(path)
    if isinstance(work, InvarianceJob):
        raise ValueError(f"{path} must be the config of a training, got that of a measurement of {work.name}")
    return work


def read_work(path: Path) -> Work:
    """The same, of whatever work it is."""
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"config must be a file that exists, got {str(path)!r}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a JSON file ({error})") from None
    return work_of(values)


def work_of(values: Any) -> Work:
    """The work that this config, as JSON has it, is of, or a ValueError that names the field."""
    measures = isinstance(values, dict) and values.get("task") == "invariance"
    return from_dict(InvarianceJob, values) if measures else from_dict(TrainingConfig, values)


def run_of(file: Path, runs: Path) -> Path | None:
    """The newest run in this folder whose model file this one is a copy of; None where there is none."""
    for own in sorted(runs.glob("*/model.safetensors"), reverse=True):
        if filecmp.cmp(file, own, shallow=False):
            return own.parent
    return None


def is_finished(run: Path) -> bool:
    """Whether the run came to its end; one that was stopped before it did not."""
    try:
        return bool(json.loads((run / "result.json").read_text())["status"] == "succeeded")
    except FileNotFoundError:
        return False


def set_aside(run: Path) -> None:
    """Make a run that was stopped one that goes on."""
    with contextlib.suppress(FileNotFoundError):
        (run / "result.json").replace(run / "result.stopped.json")
    (run / "checkpoints" / "stopped.ckpt").unlink(missing_ok=True)


class Held(ValueError):
    """Another process runs the run folder."""


@contextlib.contextmanager
def hold(run: Path, patience: float = 0.0) -> Iterator[None]:
    """Keep the run folder to this process.

    The lock goes with the process, however that ends.

    Args:
        run: the run folder.
        patience: seconds to wait for a process that is about to end.

    Raises:
        Held: another process has it.
    """
    with (run / ".lock").open("a+") as file:
        deadline = time.monotonic() + patience
        while not _locked(file):
            if time.monotonic() >= deadline:
                file.seek(0)
                holder = f" (process {file.read()} does)"
                raise Held(f"run must be one that no other process is running, got {str(run)!r}{holder}")
            time.sleep(0.05)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


OF_WORKERS = (".attempt.json.", ".control.json.")
"""How files begin that another process may be writing."""


def clear_leftovers(run: Path) -> None:
    """Remove what a kill left half written in a run folder that no process runs."""
    for folder in (run, run / "checkpoints", run / "samples", run / FOLDER):
        for path in filter(Path.is_file, folder.glob(".*.*")):
            if not path.name.startswith(OF_WORKERS):
                path.unlink()


def write_json(path: Path, values: Any) -> None:
    """Write beside the place and rename, so that a reader never sees half a file."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(values, indent=2) + "\n")
