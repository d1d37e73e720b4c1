"""The checkpoints of a run folder."""

import pickletools
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from service.jobs.schemas import Checkpoint

_LARGEST = 64 * 2**20
"""Bytes of the part of a checkpoint that holds everything but the weights."""


def list_checkpoints(run: Path) -> list[Checkpoint]:
    """Those that there are, by name."""
    found = []
    for path in sorted((run / "checkpoints").glob("[!.]*.ckpt")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        time = datetime.fromtimestamp(status.st_mtime, UTC)
        found.append(Checkpoint(name=path.name, bytes=status.st_size, time=time, step=step_of(path)))
    return found


def step_of(path: Path) -> int | None:
    """The step at which a checkpoint was written, by the names and numbers in it; nothing of it is run, nor torch needed."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            if archive.getinfo(name).file_size > _LARGEST:
                return None
            is_next = False
            for code, argument, _ in pickletools.genops(archive.read(name)):
                if is_next and isinstance(argument, int) and code.name in ("BININT", "BININT1", "BININT2", "LONG1"):
                    return argument
                is_next = argument == "global_step" or (is_next and code.name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"))
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile):
        return None
    return None
