"""The data sets that were uploaded: `STN_HOME/datasets/NAME/`, each there whole or not at all.

NAME/dataset.json     what was taken and what was refused: `service.datasets.schemas`
NAME/sheet.png        some pictures of each class
NAME/images/CLASS/    the pictures, or NAME/data.npz
.upload.XXXXXXXX/     on its way, see `training.hidden`; nothing reads hidden folders
"""

import abc
import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args, get_type_hints

from service.settings import Settings
from training.config import DataConfig
from training.storage.datasets import ARRAYS, PICTURES, Kind

NAME_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
"""What a data set may be called, unless training knows that name already."""
KNOWN: tuple[str, ...] = get_args(get_type_hints(DataConfig)["name"])
"""Names that mean something else in a training config."""

UPLOAD, DELETED = ".upload.", ".deleted."
"""How hidden folders begin."""

REPORT, SHEET = "dataset.json", "sheet.png"

_NAME = re.compile(NAME_PATTERN)


class Dataset(NamedTuple):
    """A data set that is there."""

    name: str
    kind: Kind
    """`DataConfig.name` for it."""
    folder: Path
    """`DataConfig.root` for it: the folder of pictures, or the npz file."""

    @property
    def place(self) -> Path:
        """The folder with all that belongs to it."""
        return self.folder.parent


class Datasets(abc.ABC):
    """The data sets that were uploaded; each call looks where they lie, so that several processes agree."""

    root: Path
    """A folder of this machine for what is on its way."""

    @abc.abstractmethod
    def find(self, name: str) -> Dataset | None:
        """The data set of this name; None where there is none, or none may be called so."""

    @abc.abstractmethod
    def list(self) -> "list[Dataset]":
        """All of them, by name."""

    @abc.abstractmethod
    def report(self, dataset: Dataset) -> bytes:
        """What was taken and what was refused, as JSON; FileNotFoundError where it was deleted meanwhile."""

    @abc.abstractmethod
    def sheet(self, dataset: Dataset) -> bytes:
        """Some pictures of each class, as a PNG; likewise."""

    @abc.abstractmethod
    def put(self, folder: Path, name: str) -> None:
        """Make a folder with all that belongs to it the data set of this name: it is there whole then, or not at all.

        Raises:
            FileExistsError: there is something of that name.
        """

    @abc.abstractmethod
    def remove(self, dataset: Dataset, aside: Path) -> None:
        """Delete a data set: its folder is renamed to `aside`, for the caller to delete, where it is on this disk."""

    @abc.abstractmethod
    def sweep(self) -> None:
        """Delete what killed processes left elsewhere than on this disk, where that is surely nobody's any more."""

    @abc.abstractmethod
    def hold(self, name: str) -> contextlib.AbstractContextManager[Dataset | None]:
        """The data set, which is not deleted before the end of the block: to create a job that uses it.

        None where there is none, or it is being deleted.
        """

    @abc.abstractmethod
    def hold_alone(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """Whether nobody else holds it, and nobody can before the end of the block: to delete it."""


class DatasetStore(Datasets):
    """The data sets of a home folder."""

    def __init__(self, home: Path) -> None:
        self.root = home / "datasets"

    def find(self, name: str) -> Dataset | None:
        place = self.root / name
        if not is_name(name) or not (place / REPORT).is_file():
            return None
        is_npz = (place / ARRAYS).is_file()
        return Dataset(name, "npz", place / ARRAYS) if is_npz else Dataset(name, "folder", place / PICTURES)

    def list(self) -> "list[Dataset]":
        try:
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        return [found for found in map(self.find, names) if found]

    def report(self, dataset: Dataset) -> bytes:
        return (dataset.place / REPORT).read_bytes()

    def sheet(self, dataset: Dataset) -> bytes:
        return (dataset.place / SHEET).read_bytes()

    def put(self, folder: Path, name: str) -> None:
        _put(folder, self.root / name)

    def remove(self, dataset: Dataset, aside: Path) -> None:
        os.rename(dataset.place, aside)

    def sweep(self) -> None:
        """Nothing: all is on this disk."""

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[Dataset | None]:
        with _locked(self.root / name, fcntl.LOCK_SH) if is_name(name) else contextlib.nullcontext() as is_held:
            yield self.find(name) if is_held else None

    @contextlib.contextmanager
    def hold_alone(self, name: str) -> Iterator[bool]:
        with _locked(self.root / name, fcntl.LOCK_EX) as is_held:
            yield is_held


def open_datasets(settings: Settings) -> Datasets:
    """Where these settings keep data sets."""
    if not settings.storage:
        return DatasetStore(settings.home)
    from service.datasets.shared import SharedDatasets

    return SharedDatasets(settings)


def is_name(name: str) -> bool:
    """Whether a data set may be called so."""
    return _NAME.fullmatch(name) is not None and name not in KNOWN


@contextlib.contextmanager
def _locked(place: Path, kind: int) -> Iterator[bool]:
    """Whether the lock was to be had, at once; it is given back at the end of the block."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
        is_held = True
    except OSError as error:
        is_held = error.errno != errno.EWOULDBLOCK  # a file system that knows no locks gives them to all
    try:
        yield is_held
    finally:
        os.close(handle)


def _put(folder: Path, place: Path) -> None:
    """Rename a folder to where nothing is; the whole of it is there afterwards, or nothing.

    Raises:
        FileExistsError: there is something.
    """
    try:
        os.rename(folder, place)
    except NotADirectoryError as error:
        raise FileExistsError(str(error)) from None
    except OSError as error:
        if place.exists():
            raise FileExistsError(str(error)) from None
        raise
    handle = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
