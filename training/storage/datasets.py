"""Data sets on shared storage, as a training reads them; `service.datasets.shared` writes them.

datasets/NAME/set.json               there once the rest is: kind, place, bytes
datasets/NAME/PLACE/pictures.zip     the folder of class folders or the npz file

A copy lies in `datasets/` of a machine's cache for as long as there is room.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

from training.hidden import new_place
from training.invariance_config import InvarianceJob
from training.jobs.folders import BROUGHT
from training.runs import Work
from training.storage.cache import Cache, Kept
from training.storage.places import Storage

Kind = Literal["folder", "npz"]

PREFIX, ZIP = "datasets/", "pictures.zip"
PICTURES, ARRAYS = "images", "data.npz"
"""What the zip has of either kind."""


class Here(NamedTuple):
    """A data set on this machine."""

    kept: Kept
    """Keeps it here."""
    kind: Kind
    """`DataConfig.name` for it."""
    root: Path
    """`DataConfig.root` for it."""

    def given_to(self, work: Work) -> Work:
        """The work with it for its data."""
        own = {"name": self.kind, "root": str(self.root.absolute())}
        if isinstance(work, InvarianceJob):
            return dataclasses.replace(work, data={**work.data, **own})
        return dataclasses.replace(work, data=dataclasses.replace(work.data, name=self.kind, root=own["root"]))


def keep(storage: Storage, cache: Cache, name: str) -> Here:
    """The data set on this machine, to which it is brought if need be.

    Raises:
        ValueError: there is none.
    """
    told = tell(storage, name)
    if told is None:
        raise ValueError(f"data.name must be a data set that is there, got {name!r}, which has been deleted")
    key = f"{PREFIX}{name}/{told['place']}/{ZIP}"
    kept = cache.keep(place_of(name, told), told["bytes"], lambda path: _bring(storage, key, told["bytes"], path))
    return Here(kept, told["kind"], kept.path / content_of(told))


def tell(storage: Storage, name: str) -> dict[str, Any] | None:
    """What set.json says; None where there is no such data set."""
    try:
        found: dict[str, Any] = json.loads(storage.read(key_of(name)))
    except FileNotFoundError:
        return None
    return found


def key_of(name: str) -> str:
    return f"{PREFIX}{name}/set.json"


def place_of(name: str, told: dict[str, Any]) -> str:
    """Of the copy, below the root of the cache."""
    return f"{PREFIX}{name}-{told['place']}"


def content_of(told: dict[str, Any]) -> str:
    return ARRAYS if told["kind"] == "npz" else PICTURES


def _bring(storage: Storage, key: str, size: int, path: Path) -> None:
    with new_place(path.parent, BROUGHT) as beside:
        packed = beside / ZIP
        storage.fetch(key, packed, size)
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(beside / "set")
        with contextlib.suppress(FileExistsError):  # another process was first
            _rename(beside / "set", path)


def _rename(folder: Path, place: Path) -> None:
    try:
        os.rename(folder, place)
    except OSError as error:
        if place.exists():
            raise FileExistsError(str(error)) from None
        shutil.rmtree(folder, ignore_errors=True)
        raise
