"""Data sets on shared storage; each is there whole or not at all.

datasets/NAME/set.json               made last, and only where there is none: kind, place, bytes, and the report
datasets/NAME/PLACE/sheet.png        some pictures of each class
datasets/NAME/PLACE/pictures.zip     the folder of pictures or the npz file; not compressed, since pictures are

`training.storage.datasets` reads them; a copy that it reads lies in STN_HOME/fetched/datasets for as long as there is room.
"""

import contextlib
import json
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.datasets.leftovers import sweep
from service.datasets.store import REPORT, SHEET, Dataset, Datasets, is_name
from service.settings import Settings
from training.storage.cache import Cache, Kept
from training.storage.datasets import ARRAYS, PREFIX, ZIP, content_of, keep, key_of, place_of, tell
from training.storage.places import NotExclusive, open_storage


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
        keys = sorted(key for key in self.storage.list(PREFIX) if key.count("/") == 2 and key.endswith("/set.json"))
        return [found for key in keys if (found := self.find(key.split("/")[1]))]

    def report(self, dataset: Dataset) -> bytes:
        return json.dumps(self._known(dataset.name)["report"]).encode()

    def sheet(self, dataset: Dataset) -> bytes:
        return self.storage.read(f"{PREFIX}{dataset.name}/{self._known(dataset.name)['place']}/{SHEET}")

    def put(self, folder: Path, name: str) -> None:
        place = uuid.uuid4().hex
        here = f"{PREFIX}{name}/{place}"
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            packed = Path(beside) / ZIP
            _pack(folder, packed)
            kind = "npz" if (folder / ARRAYS).is_file() else "folder"
            report = json.loads((folder / REPORT).read_bytes())
            told = {"kind": kind, "place": place, "bytes": packed.stat().st_size, "report": report}
            (Path(beside) / "set.json").write_text(json.dumps(told))
            self.storage.put(f"{here}/{ZIP}", packed)
            self.storage.put(f"{here}/{SHEET}", folder / SHEET)
            try:
                self.storage.put_new(key_of(name), Path(beside) / "set.json")
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
        self.storage.delete(key_of(dataset.name))
        if told is not None:  # nothing else below the name: somebody may just be posting another one
            self._forget(f"{PREFIX}{dataset.name}/{told['place']}/")

    def sweep(self) -> None:
        sweep(self.storage)

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
        here = keep(self.storage, self.cache, name)
        return here.kept, Dataset(name, here.kind, here.root)

    def _dataset(self, name: str, told: dict[str, Any]) -> Dataset:
        return Dataset(name, told["kind"], self.cache.root / place_of(name, told) / content_of(told))

    def _known(self, name: str) -> dict[str, Any]:
        told = self._tell(name)
        if told is None:
            raise FileNotFoundError(name)
        return told

    def _tell(self, name: str) -> dict[str, Any] | None:
        return tell(self.storage, name)

    def _forget(self, prefix: str) -> None:
        for key in self.storage.list(prefix):
            self.storage.delete(key)


def _pack(folder: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in (REPORT, SHEET):
                archive.write(path, path.relative_to(folder))
