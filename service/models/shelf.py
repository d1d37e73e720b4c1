"""Where the versions of models lie for good: the models folder of this machine or, with STN_STORAGE, shared storage."""

import abc
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import stn
from service.models import folder, records, watcher
from service.models.catalogue import Catalogue, Entry, Stamp
from service.models.folder import SHIPPED, SHIPPED_ALIGNER, log
from service.models.scan import read_stamp, scan
from service.models.served import Held, read_served
from service.settings import Settings
from stn.model_info import read_info
from training.storage.cache import Kept

SILENT = "the storage does not answer"
"""Why a version is refused that can be had once it does."""


class Added(NamedTuple):
    """What a file has become."""

    version: int
    is_new: bool
    """Not where a version has the same bytes."""
    path: Path
    """Where it is read."""
    stamp: Stamp
    kept: Kept | None = None
    """See `Held.kept`."""


class Shelf(abc.ABC):
    """The versions of models; every method blocks, and raises StorageUnavailable where shared storage does not answer."""

    uploads: Path
    """A folder of this machine for files on their way."""

    @abc.abstractmethod
    def scan(self, known: Catalogue | None = None) -> Catalogue:
        """What there is; what has not changed since `known` is not read again."""

    @abc.abstractmethod
    def versions(self, name: str | None) -> list[int]:
        """The versions that are there now, whatever is in them; those of every model where none is named."""

    @abc.abstractmethod
    def read(self, entry: Entry, settings: Settings, gives_way: bool = False) -> Held:
        """The network of this version, checked completely; see `read_served`."""

    @abc.abstractmethod
    def path(self, name: str, version: int) -> Path:
        """The file of this version, on this machine."""

    @abc.abstractmethod
    def find(self, name: str, source: Path) -> int | None:
        """The version of this name that has the same bytes, where there is one."""

    @abc.abstractmethod
    def add(self, name: str, source: Path) -> Added:
        """Make a file of `uploads` the next version of this name; several machines may add at once."""

    @abc.abstractmethod
    def register_once(self, name: str, source: Path) -> int:
        """The version that a model file has become, now or by an earlier call; torch is not needed for it.

        Raises:
            ModelFileError: it is not a model file.
        """

    @abc.abstractmethod
    def choose(self, name: str, version: int | None) -> None:
        """Choose the default version; None stands for the newest."""

    @abc.abstractmethod
    def remove_version(self, name: str, version: int) -> None:
        """Delete this version; with the last one, all that is left of the model."""

    @abc.abstractmethod
    def remove_model(self, name: str, versions: list[int]) -> None:
        """Delete these versions in this order, then what else belongs to the model."""

    @abc.abstractmethod
    def remove_abandoned(self) -> None:
        """Delete what killed processes left on its way."""

    @abc.abstractmethod
    def changes(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """One item whenever something may have changed, until it is to stop."""

    def register(self, name: str, source: Path) -> int:
        """The same as `register_once`, after all of the file was checked."""
        load = stn.load_model if read_info(source).task == "classify" else stn.load_aligner
        load(source)
        return self.register_once(name, source)

    def register_shipped(self) -> None:
        """Register the package's own models, so that there are some from the start; not where there is any already."""
        if not self.versions(None):
            self.register(SHIPPED.stem, SHIPPED)
            self.register(SHIPPED_ALIGNER.stem, SHIPPED_ALIGNER)
            log.info("no model has been registered yet: serving %s, which comes with the package", SHIPPED.stem)


class FolderShelf(Shelf):
    """The models folder; see `service.models.folder`."""

    def __init__(self, models: Path) -> None:
        self.uploads = self.models = models

    def scan(self, known: Catalogue | None = None) -> Catalogue:
        return scan(self.models, known)

    def versions(self, name: str | None) -> list[int]:
        return folder.versions_there(self.models, name)

    def read(self, entry: Entry, settings: Settings, gives_way: bool = False) -> Held:
        return read_served(entry.path, *entry.key, settings, gives_way)

    def path(self, name: str, version: int) -> Path:
        return folder.model_file(self.models, name, version)

    def find(self, name: str, source: Path) -> int | None:
        return folder.find_version(self.models, name, source)

    def add(self, name: str, source: Path) -> Added:
        version, is_new = folder.add(self.models, name, source)
        return Added(version, is_new, self.path(name, version), read_stamp(source))

    def register_once(self, name: str, source: Path) -> int:
        return folder.register_once(self.models, name, source)

    def register(self, name: str, source: Path) -> int:
        return folder.register(self.models, name, source)

    def register_shipped(self) -> None:
        folder.register_shipped(self.models)

    def choose(self, name: str, version: int | None) -> None:
        records.write_pin(self.models, name, version)

    def remove_version(self, name: str, version: int) -> None:
        folder.remove_version(self.models, name, version)

    def remove_model(self, name: str, versions: list[int]) -> None:
        folder.remove_model(self.models, name, versions)

    def remove_abandoned(self) -> None:
        folder.remove_abandoned(self.models)

    def changes(self, stop: asyncio.Event) -> AsyncIterator[None]:
        return watcher.changes(self.models, stop)


def open_shelf(settings: Settings) -> Shelf:
    """Where these settings keep models."""
    if not settings.storage:
        return FolderShelf(settings.models)
    from service.models.shared import StorageShelf

    return StorageShelf(settings)
