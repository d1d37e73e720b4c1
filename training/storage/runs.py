"""Run folders on shared storage: what is there of a job is the last whole state that its latest attempt published.

runs/ID/ATTEMPT/SERIAL/PATH   a file of the run folder, as it was at one moment
runs/ID/ATTEMPT/state.json    which of them are the state: put after them, and the older ones are deleted after it
runs/ID/ATTEMPT/order.json    where the process is on another machine than its worker: see `training.storage.orders`

An attempt writes below its own number alone, so one that was superseded can overwrite nothing; the highest number with a
state.json counts. A run folder remembers in `.content` whose files it has.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from stn.whole_file import written_beside
from training.attempts import Fenced, owner
from training.hidden import new_place
from training.jobs.folders import BROUGHT
from training.probe_folder import FOLDER
from training.storage.orders import FILES
from training.storage.places import Storage

CONTENT, SEEN = ".content", ".state.json"
"""Whose files a run folder has, and, of one to look at, which."""
_CHECKPOINTS = "checkpoints/"
_LAST = f"{_CHECKPOINTS}last.ckpt"
_LATE = "tensorboard/"
"""What is published with the end alone: it is much, and nobody reads it on the way."""
_REPLACED = (".ckpt", ".safetensors")
"""Files that are never changed but replaced, of which a link is a copy."""
_STATE = re.compile(r"runs/[^/]+/([0-9]+)/state\.json")


class State(NamedTuple):
    """What an attempt has published."""

    attempt: int
    serial: int
    """Counts its publications."""
    files: dict[str, tuple[str, int]]
    """Key and bytes of each file, by its path in the run folder."""


def newest_state(storage: Storage, job_id: str) -> State | None:
    """The state of the latest attempt that has published one."""
    while True:
        attempt = max(_published(storage.list(f"runs/{job_id}/")), default=None)
        if attempt is None:
            return None
        with contextlib.suppress(FileNotFoundError):  # a later attempt has come, and deleted it
            found = json.loads(storage.read(_state_key(job_id, attempt)))
            return _state_of({"attempt": attempt, "serial": 0, **found})


class Publisher:
    """Publishes a run folder as an attempt of its job, again and again.

    Args:
        storage: where to.
        job_id: of the job.
        run: its folder on this machine.
        attempt: the attempt that has it.
    """

    def __init__(self, storage: Storage, job_id: str, run: Path, attempt: int) -> None:
        self.storage, self.job_id, self.run, self.attempt = storage, job_id, run, attempt
        self._files: dict[str, tuple[str, int]] = {}
        self._stamps: dict[str, tuple[int, ...]] = {}
        self._serial = 0

    def publish(self, whole: bool = False, sign: bool = False) -> None:
        """Publish what has changed since the last time.

        Args:
            whole: also what is left out on the way.
            sign: also where nothing has changed, as a sign of life.

        Raises:
            Fenced: a later attempt has published.
            StorageUnavailable: nothing is published; the next time has it all.
        """
        with tempfile.TemporaryDirectory(dir=self.run, prefix=".published.") as folder:
            stamps, copies = self._copied(Path(folder), whole)
            if stamps == self._stamps and not sign:
                return
            there = self.storage.list(f"runs/{self.job_id}/")
            latest = max(_published(there), default=0)
            if latest > self.attempt:
                raise Fenced(
                    f"attempt {latest} has published the run folder {self.run}, this is attempt {self.attempt}"
                )
            self._serial += 1
            files = {path: self._files[path] for path in stamps if path not in copies}
            for path, copy in copies.items():
                key = f"runs/{self.job_id}/{self.attempt}/{self._serial}/{path}"
                self.storage.put(key, copy)
                files[path] = key, copy.stat().st_size
        text = json.dumps({"serial": self._serial, "files": files})
        self.storage.write(_state_key(self.job_id, self.attempt), text.encode())
        self._files, self._stamps = files, stamps
        named = {key for key, _ in files.values()}
        for key in there:
            if _attempt_of(key) < self.attempt or (
                _attempt_of(key) == self.attempt and _is_file(key) and key not in named
            ):
                self.storage.delete(key)

    def _copied(self, folder: Path, whole: bool) -> tuple[dict[str, tuple[int, ...]], dict[str, Path]]:
        """The stamps of all files, and copies of those that have changed, none older than the checkpoint to go on from."""
        stamps: dict[str, tuple[int, ...]] = {}
        copies: dict[str, Path] = {}
        for path in _in_order(_paths(self.run, whole)):
            with contextlib.suppress(FileNotFoundError):  # it has just gone
                stamp = _stamp(os.stat(self.run / path))
                if stamp != self._stamps.get(path):
                    copies[path] = folder / str(len(copies))
                    stamp = _copy(self.run / path, copies[path])
                stamps[path] = stamp
        return stamps, copies


def restore(storage: Storage, job_id: str, run: Path, attempt: int) -> None:
    """Bring a run folder to the last state that an earlier attempt has published, unless it has it, and make it this one's.

    Raises:
        Fenced: a later attempt has it.
        StorageUnavailable: that cannot be known; nothing is changed.
    """
    here = content(run)
    while attempt > 1 and here != attempt - 1:
        state = newest_state(storage, job_id)
        if state is None or here >= state.attempt:
            break
        with contextlib.suppress(FileNotFoundError):  # it was published anew meanwhile
            _bring(storage, state, run, attempt)
            break
    own_content(run, attempt)


def content(run: Path) -> int:
    """The attempt whose files a run folder has; 0 where none is known."""
    try:
        return int((run / CONTENT).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return 0


def own_content(run: Path, attempt: int) -> None:
    """Write down that the files of a run folder are those of this attempt from now on."""
    run.mkdir(parents=True, exist_ok=True)
    with written_beside(run / CONTENT) as beside:
        beside.write_text(f"{attempt}\n")


def look(storage: Storage, job_id: str, folder: Path) -> None:
    """Bring what users see of a run, all but checkpoints, to its last state, in a folder to look at."""
    state = newest_state(storage, job_id)
    while state is not None:
        before = _seen(folder)
        files = {} if before is None else before.files
        try:
            for path in _as_told(state.files):
                if files.get(path) != state.files[path] and not path.startswith(_CHECKPOINTS):
                    storage.fetch(state.files[path][0], folder / path, state.files[path][1])
        except FileNotFoundError:
            state = newest_state(storage, job_id)
            continue
        for path in files.keys() - state.files.keys():
            (folder / path).unlink(missing_ok=True)
        if before != state:
            folder.mkdir(parents=True, exist_ok=True)
            with written_beside(folder / SEEN) as beside:
                beside.write_text(json.dumps(state._asdict()))
        return


def seen_checkpoint(folder: Path) -> str | None:
    """By what the checkpoint to go on from is known that a folder to look at lacks; None where there is none."""
    seen = _seen(folder)
    return seen and seen.files.get(_LAST, (None,))[0]


def _seen(folder: Path) -> State | None:
    """The state that a folder to look at has."""
    try:
        return _state_of(json.loads((folder / SEEN).read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        return None


def _state_of(told: dict[str, Any]) -> State:
    files = {path: (key, size) for path, (key, size) in told["files"].items()}
    return State(told["attempt"], told["serial"], files)


def _as_told(paths: Iterable[str]) -> list[str]:
    """Each before what tells of it: pictures before their frame, and all before how far the run is."""
    return sorted(paths, key=lambda path: (path == "progress.json", path.startswith(f"{FOLDER}/"), path))


def forget(storage: Storage, job_id: str) -> None:
    """Delete all that was published of a job."""
    for key in storage.list(f"runs/{job_id}/"):
        storage.delete(key)


def _bring(storage: Storage, state: State, run: Path, attempt: int) -> None:
    """The whole state beside, then in the place of what was there."""
    with new_place(run.parent, BROUGHT) as place:
        beside = place / "run"
        for path, (key, size) in state.files.items():
            storage.fetch(key, beside / path, size)
        own_content(beside, state.attempt)
        found = owner(run)
        if found is not None and found.attempt > attempt:  # this worker stood still meanwhile
            raise Fenced(f"attempt {found.attempt} has the run folder {run}, this is attempt {attempt}")
        with contextlib.suppress(FileNotFoundError):
            run.rename(place / "before")
        beside.rename(run)


def _paths(run: Path, whole: bool) -> list[str]:
    found = []
    for folder, folders, names in os.walk(run):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(folder).relative_to(run)
        found += [str(inside / name) for name in names if not name.startswith(".")]
    return [path for path in found if path not in FILES and (whole or not path.startswith(_LATE))]


def _in_order(paths: Iterable[str]) -> list[str]:
    """The checkpoint to go on from first: what else there is may be newer than it, and never older."""
    return sorted(paths, key=lambda path: (path != _LAST, path))


def _copy(path: Path, copy: Path) -> tuple[int, ...]:
    """A copy of a file at this moment; its stamp, which tells it from others in its place."""
    if path.name.endswith(_REPLACED):
        try:
            os.link(path, copy)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            shutil.copyfile(path, copy)
        return _stamp(copy.stat())
    with path.open("rb") as file:
        stamp = _stamp(os.fstat(file.fileno()))  # before: what is written meanwhile is published the next time
        copy.write_bytes(file.read())
    return stamp


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _published(keys: Iterable[str]) -> list[int]:
    """The attempts that have a state."""
    return [int(found[1]) for key in keys if (found := _STATE.fullmatch(key))]


def _state_key(job_id: str, attempt: int) -> str:
    return f"runs/{job_id}/{attempt}/state.json"


def _attempt_of(key: str) -> int:
    part = key.split("/")[2]
    return int(part) if part.isdigit() else 0


def _is_file(key: str) -> bool:
    """Whether it is one of the run folder."""
    return key.count("/") > 3
