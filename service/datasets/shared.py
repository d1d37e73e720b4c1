"""Data sets on shared storage; each is there whole or not at all.

datasets/NAME/set.json               made last, and only where there is none: kind, place, bytes, and the report
datasets/NAME/PLACE/sheet.png        some pictures of each class
datasets/NAME/PLACE/pictures.zip     the folder of pictures or the npz file; not compressed, since pictures are

A copy that a training reads lies in STN_HOME/fetched/datasets for as long as there is room.
"""

import contextlib
import json
import os
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.datasets.store import ARRAYS, PICTURES, REPORT, SHEET, Dataset, Datasets, is_name
from service.settings import Settings
from training.storage.cache import Cache, Kept
from training.storage.places import NotExclusive, open_storage

_ZIP = "pictures.zip"
_PREFIX = "datasets/"


class SharedDatasets(Datasets):
    """The data sets on the storage of `settings.storage`."""

    def __init__(self, settings: Settings) -> None:
        self.storage = open_storage(settings.storage)
        self.cache = Cache(settings.fetched, settings.max_cache_bytes)
        self.root = settings.fetched / "uploads"

    def find(self, name: str) -> Dataset | None:
        told = self._tell(name) if is_name(name) else None
        return None if told is None else self._dataset(name, told)

    def list(self) -> list[Dataset]:
        keys = sorted(key for key in self.storage.list(_PREFIX) if key.count("/") == 2 and key.endswith("/set.json"))
        return [found for key in keys if (found := self.find(key.split("/")[1]))]

    def report(self, dataset: Dataset) -> bytes:
        return json.dumps(self._known(dataset.name)["report"]).encode()

    def sheet(self, dataset: Dataset) -> bytes:
        return self.storage.read(f"{_PREFIX}{dataset.name}/{self._known(dataset.name)['place']}/{SHEET}")

    def put(self, folder: Path, name: str) -> None:
        place = uuid.uuid4().hex
        here = f"{_PREFIX}{name}/{place}"
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            packed = Path(beside) / _ZIP
            _pack(folder, packed)
            kind = "npz" if (folder / ARRAYS).is_file() else "folder"
            report = json.loads((folder / REPORT).read_bytes())
            told = {"kind": kind, "place": place, "bytes": packed.stat().st_size, "report": report}
            (Path(beside) / "set.json").write_text(json.dumps(told))
            self.storage.put(f"{here}/{_ZIP}", packed)
            self.storage.put(f"{here}/{SHEET}", folder / SHEET)
            try:
                self.storage.put_new(_key(name), Path(beside) / "set.json")
            except FileExistsError:
                if (self._tell(name) or {}).get("place") == place:  # ours: the answer was lost, and it was asked again
                    return
                self._forget(f"{here}/")
                raise
            except NotExclusive:
                self._forget(f"{here}/")
                raise

    def remove(self, dataset: Dataset, aside: Path) -> None:
        told = self._tell(dataset.name)
        self.storage.delete(_key(dataset.name))
        if told is not None:  # nothing else below the name: somebody may just be posting another one
            self._forget(f"{_PREFIX}{dataset.name}/{told['place']}/")

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[Dataset | None]:
        yield self.find(name)

    @contextlib.contextmanager
    def hold_alone(self, name: str) -> Iterator[bool]:
        yield True

    def keep(self, name: str) -> tuple[Kept, Dataset]:
        """The data set on this machine, which stays as long as what keeps it.

        Raises:
            ValueError: there is none.
        """
        told = self._tell(name)
        if told is None:
            raise ValueError(f"data.name must be a data set that is there, got {name!r}, which has been deleted")
        key = f"{_PREFIX}{name}/{told['place']}/{_ZIP}"
        kept = self.cache.keep(_copy(name, told), told["bytes"], lambda path: self._bring(key, told["bytes"], path))
        return kept, self._dataset(name, told)

    def _bring(self, key: str, size: int, path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".brought.") as beside:
            packed = Path(beside) / _ZIP
            self.storage.fetch(key, packed, size)
            with zipfile.ZipFile(packed) as archive:
                archive.extractall(Path(beside) / "set")
            with contextlib.suppress(FileExistsError):  # another process was first
                _rename(Path(beside) / "set", path)

    def _dataset(self, name: str, told: dict[str, Any]) -> Dataset:
        path = self.cache.root / _copy(name, told)
        return Dataset(name, told["kind"], path / (ARRAYS if told["kind"] == "npz" else PICTURES))

    def _known(self, name: str) -> dict[str, Any]:
        told = self._tell(name)
        if told is None:
            raise FileNotFoundError(name)
        return told

    def _tell(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self.storage.read(_key(name)))
        except FileNotFoundError:
            return None
        return found

    def _forget(self, prefix: str) -> None:
        for key in self.storage.list(prefix):
            self.storage.delete(key)


def _key(name: str) -> str:
    return f"{_PREFIX}{name}/set.json"


def _copy(name: str, told: dict[str, Any]) -> str:
    return f"datasets/{name}-{told['place']}"


def _pack(folder: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in (REPORT, SHEET):
                archive.write(path, path.relative_to(folder))


def _rename(folder: Path, place: Path) -> None:
    try:
        os.rename(folder, place)
    except OSError as error:
        if place.exists():
            raise FileExistsError(str(error)) from None
        shutil.rmtree(folder, ignore_errors=True)
        raise
