"""Where shared files lie: a mounted folder, or an object store by fsspec URL.

A key, a path below the URL such as `models/digits/1.safetensors`, is there with all its bytes or not at all: a folder has
files that were written beside their place and renamed, an object store puts whole objects. What a reader fetches is checked
against the size that the listing told, written beside its place and renamed.
"""

import abc
import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stn.whole_file import written_beside

_CHUNK = 2**20


class StorageUnavailable(OSError):
    """The storage does not answer, or not as it should; it may later."""


class NotExclusive(OSError):
    """The storage cannot be asked to write a key only where there is none."""


class Stat(NamedTuple):
    """What a listing tells of a key."""

    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch, by the storage's clock."""
    tag: str
    """Another one once the bytes are others."""


class Storage(abc.ABC):
    """Keys with bytes; whatever goes wrong beyond what a method names is `StorageUnavailable`."""

    url: str

    @abc.abstractmethod
    def list(self, prefix: str) -> dict[str, Stat]:
        """All keys that begin with this, a folder that ends in `/`."""

    @abc.abstractmethod
    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a key from start to before end; FileNotFoundError where there is none."""

    @abc.abstractmethod
    def put(self, key: str, source: Path) -> None:
        """Give a key the bytes of this file, in the place of those that it had."""

    @abc.abstractmethod
    def put_new(self, key: str, source: Path) -> None:
        """The same where there is no such key; one of several that try at once succeeds.

        Raises:
            FileExistsError: there is one.
        """

    @abc.abstractmethod
    def delete(self, key: str) -> None:
        """Nothing where there is no such key."""

    @abc.abstractmethod
    def remove_unfinished(self, before: float) -> None:
        """Delete what killed writers left half written before this time (seconds since the epoch)."""

    @abc.abstractmethod
    def _download(self, key: str, target: Path) -> None:
        """Write the bytes of a key to this file; FileNotFoundError where there is none."""

    def fetch(self, key: str, target: Path, size: int) -> None:
        """A copy of a key, there whole or not at all.

        Raises:
            FileNotFoundError: there is none.
            StorageUnavailable: it has another size than it was said to have.
            OSError: this machine's disk is full.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(target) as beside:
            try:
                self._download(key, beside)
            except StorageUnavailable as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL:
                    raise OSError(error.__cause__.errno, error.__cause__.strerror) from error
                raise
            if beside.stat().st_size != size:
                raise StorageUnavailable(f"{key} came with {beside.stat().st_size} of {size} bytes")

    def write(self, key: str, data: bytes) -> None:
        """`put` of a few bytes."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self.put(key, Path(file.name))

    def stat(self, key: str) -> Stat:
        """FileNotFoundError where there is no such key."""
        found = self.list(key).get(key)
        if found is None:
            raise FileNotFoundError(key)
        return found


def open_storage(url: str) -> Storage:
    """The storage at this URL; nothing is asked of it yet.

    Args:
        url: a folder (`/mnt/shared`, `file:///mnt/shared`), which must be there, or a URL of fsspec.

    Raises:
        ValueError: no such storage is known here.
    """
    if "://" not in url or url.startswith("file://"):
        return FolderStorage(Path(url.removeprefix("file://")))
    from training.storage.objects import ObjectStorage

    return ObjectStorage(url)


class FolderStorage(Storage):
    """A folder that is mounted on all machines. One that is not there is not made: it may have come off."""

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            raise ValueError(f"storage must be an absolute path or a URL, got {str(root)!r}")
        self.root, self.url = root, f"file://{root}"

    def list(self, prefix: str) -> dict[str, Stat]:
        with self._there():
            start, found = self.root / prefix, {}
            if start.is_file():
                return {prefix: self._stat(start)}
            for folder, folders, names in os.walk(start):
                folders[:] = [name for name in folders if not name.startswith(_BESIDE)]
                for path in (Path(folder, name) for name in names if not name.startswith(_BESIDE)):
                    with contextlib.suppress(FileNotFoundError):
                        found[str(path.relative_to(self.root))] = self._stat(path)
            return found

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        with self._there(), (self.root / key).open("rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)

    def put(self, key: str, source: Path) -> None:
        with self._beside(key, source) as (beside, path):
            beside.replace(path)

    def put_new(self, key: str, source: Path) -> None:
        with self._beside(key, source) as (beside, path):
            os.link(beside, path)

    def delete(self, key: str) -> None:
        with self._there():
            self._remove(self.root / key)

    def remove_unfinished(self, before: float) -> None:
        with self._there():
            for path in self.root.rglob(f"{_BESIDE}*"):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        self._remove(path)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others lie in it
            for folder in path.relative_to(self.root).parents[:-1]:
                (self.root / folder).rmdir()

    def _download(self, key: str, target: Path) -> None:
        with self._there():
            shutil.copyfile(self.root / key, target)

    @contextlib.contextmanager
    def _beside(self, key: str, source: Path) -> Iterator[tuple[Path, Path]]:
        """A copy of the source on the storage's disk, on its way to the key's path."""
        path = self.root / key
        with self._there():
            handle, name = _new_file(path.parent)
            try:
                with os.fdopen(handle, "wb") as beside, source.open("rb") as file:
                    shutil.copyfileobj(file, beside, _CHUNK)
                    beside.flush()
                    os.fchmod(beside.fileno(), 0o644)
                    os.fsync(beside.fileno())
                yield Path(name), path
            finally:
                Path(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        if not self.root.is_dir():
            raise StorageUnavailable(f"{self.url} is not there")
        with explained(self.url):
            yield

    @staticmethod
    def _stat(path: Path) -> Stat:
        status = path.stat()
        return Stat(status.st_size, status.st_mtime, f"{status.st_ino}-{status.st_mtime_ns}")


_BESIDE = ".beside."
"""How files begin that are on their way to their place."""
_TIMES = 100
"""That a folder is made again which is removed meanwhile."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _new_file(folder: Path) -> tuple[int, str]:
    """Handle and name of a new file on its way, in a folder that others remove whenever its last key is deleted."""
    for _ in range(_TIMES):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            folder.mkdir(parents=True, exist_ok=True)
            return tempfile.mkstemp(dir=folder, prefix=_BESIDE)
    raise StorageUnavailable(f"{folder} is removed all the time")


_EXISTS = ("PreconditionFailed", "ConditionalRequestConflict", "412")
"""What S3 says where a key is there that must not be, or is just being written by another."""


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """What went wrong in the words of `Storage`; the libraries of stores have errors of their own."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, StorageUnavailable, NotExclusive):
        raise
    except Exception as error:
        code = getattr(error.__cause__ or error, "response", None) or {}
        if isinstance(code, dict) and code.get("Error", {}).get("Code") in _EXISTS:
            raise FileExistsError(str(error)) from error
        raise StorageUnavailable(f"the storage {url} does not answer ({_words(error)})") from error


def _words(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
