"""Copies of what lies in a storage, on this machine's disk: those used least recently make room, those in use never do."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path


class Kept:
    """A copy that stays as long as this object is there or, where the process is killed, until then.

    Args:
        path: a file or a folder.
        handle: of it, with a shared lock.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle: int | None = handle

    def release(self) -> None:
        """Let it make room for others."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.release()


class Cache:
    """Files and folders in a folder of which several processes may keep copies.

    Args:
        root: the folder; what else lies in it is deleted, too, when room is made.
        most_bytes: that all copies together have, unless those in use have more.
    """

    def __init__(self, root: Path, most_bytes: int) -> None:
        self.root, self.most_bytes = root, most_bytes

    def keep(self, place: str, size: int, bring: Callable[[Path], None]) -> Kept:
        """The copy at this place below the root.

        Args:
            place: FOLDER/NAME; another one where the bytes are others.
            size: its bytes, about.
            bring: makes it at this path, whole or not at all, where it is missing.
        """
        path = self.root / place
        while (kept := keep(path)) is None:
            self._make_room(size)
            path.parent.mkdir(parents=True, exist_ok=True)
            bring(path)
        return kept

    def _make_room(self, size: int) -> None:
        copies = sorted(self._copies(), key=lambda copy: copy[1])
        total = sum(bytes_ for _, _, bytes_ in copies) + size
        for path, _, bytes_ in copies:
            if total <= self.most_bytes:
                return
            if removed(path):
                total -= bytes_

    def _copies(self) -> Iterator[tuple[Path, float, int]]:
        """Each with the time of its last use and its bytes."""
        for path in self.root.glob("*/[!.]*"):
            with contextlib.suppress(OSError):
                yield path, path.stat().st_mtime, _bytes(path)


def keep(path: Path) -> Kept | None:
    """A file or folder, kept; None where it is not there, or is just being removed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    kept = Kept(path, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):
            os.utime(path)
            return kept
    except (BlockingIOError, FileNotFoundError):
        pass
    return None


def removed(path: Path) -> bool:
    """Whether it is gone: not where anybody keeps it. A folder goes as a whole, by its name, and then from the disk."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            hidden = path.with_name(f".gone.{os.getpid()}.{path.name}")
            path.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
