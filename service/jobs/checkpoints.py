"""The checkpoints of a job: those in its run folder, or those that its machine has published."""

import contextlib
import functools
import io
import os
import pickletools
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.jobs.schemas import Checkpoint
from training.storage.places import Storage, open_storage
from training.storage.runs import newest_state

_LARGEST = 64 * 2**20
"""Bytes of the part of a checkpoint that holds everything but the weights."""
_FOLDER = "checkpoints/"


def list_checkpoints(run: Path) -> list[Checkpoint]:
    """Those that there are, by name."""
    found = []
    for path in sorted((run / _FOLDER).glob("[!.]*.ckpt")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append(_shown(path.name, status.st_size, status.st_mtime, step_of(path)))
    return found


def published_checkpoints(url: str, job_id: str) -> list[Checkpoint]:
    """Those of the last state that was published on the storage at this URL; their times are those of the publication.

    Raises:
        StorageUnavailable: that cannot be known.
    """
    storage = open_storage(url)
    while (state := newest_state(storage, job_id)) is not None:
        stats = storage.list(f"runs/{job_id}/")
        paths = sorted(path for path in state.files if path.startswith(_FOLDER) and path.endswith(".ckpt"))
        with contextlib.suppress(FileNotFoundError, KeyError):  # they were published anew meanwhile
            return [
                _shown(path.removeprefix(_FOLDER), size, stats[key].modified, _published_step(url, key, size))
                for path, (key, size) in ((path, state.files[path]) for path in paths)
            ]
    return []


def step_of(path: Path) -> int | None:
    """The step at which a checkpoint was written; None where the file does not tell."""
    try:
        with path.open("rb") as file:
            return _step(file)
    except OSError:
        return None


@functools.lru_cache(maxsize=1000)
def _published_step(url: str, key: str, size: int) -> int | None:
    return _step(io.BufferedReader(_Stored(open_storage(url), key, size), _CHUNK))


def _step(file: io.BufferedReader) -> int | None:
    """By the names and numbers in it; nothing of it is run, nor torch needed."""
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            if archive.getinfo(name).file_size > _LARGEST:
                return None
            is_next = False
            for code, argument, _ in pickletools.genops(archive.read(name)):
                if is_next and isinstance(argument, int) and code.name in ("BININT", "BININT1", "BININT2", "LONG1"):
                    return argument
                is_next = argument == "global_step" or (is_next and code.name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"))
    except (ValueError, StopIteration, zipfile.BadZipFile):
        return None
    return None


_CHUNK = 2**16


class _Stored(io.RawIOBase):
    """A key of a storage as a file to read here and there, of which no more is fetched than is read."""

    def __init__(self, storage: Storage, key: str, size: int) -> None:
        self._storage, self._key, self._size, self._place = storage, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence])
        return self._place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._place + len(view), self._size)
        data = self._storage.read(self._key, self._place, end) if self._place < end else b""
        view[: len(data)] = data
        self._place += len(data)
        return len(data)


def _shown(name: str, size: int, modified: float, step: int | None) -> Checkpoint:
    return Checkpoint(name=name, bytes=size, time=datetime.fromtimestamp(modified, UTC), step=step)
