"""Models on shared storage, with the same keys as the models folder has files: `models/NAME/VERSION.safetensors`.

What is read of them lies in STN_HOME/fetched/models for as long as there is room; of the others the header alone is read.
`models.json` there is what the storage held when it last answered, for a start while it does not.
"""

import asyncio
import contextlib
import dataclasses
import filecmp
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.models.catalogue import Catalogue, Entry, Stamp
from service.models.folder import is_name, name_and_version, remove_abandoned
from service.models.records import DEFAULT, HISTORY, History, as_history, as_pin, of_history, sum_of
from service.models.scan import read_entry
from service.models.served import Held, read_served
from service.models.shelf import SILENT, Added, Shelf
from service.models.watcher import PERIOD
from service.settings import Settings
from stn import ModelFileError
from stn.model_info import read_info
from stn.whole_file import written_beside
from training.storage.cache import Cache, Kept
from training.storage.places import Stat, StorageUnavailable, open_storage

_PREFIX = "models/"
_SUFFIX = ".safetensors"
_FIRST = 2**16
"""Bytes that hold the header of most model files."""
_LONGEST_HEADER = 2**24
_READERS = 8


class StorageShelf(Shelf):
    """Models on the storage of `settings.storage`."""

    def __init__(self, settings: Settings) -> None:
        self.storage = open_storage(settings.storage)
        self.cache = Cache(settings.fetched, settings.max_cache_bytes)
        self.uploads = settings.fetched / "uploads"
        self._listing = settings.fetched / "models.json"
        self._texts: dict[str, tuple[str, str]] = {}
        """Tag and content of the small files beside versions."""

    def scan(self, known: Catalogue | None = None) -> Catalogue:
        try:
            stats = self.storage.list(_PREFIX)
            texts = self._read_texts(stats)
            found, misplaced = self._entries(stats, known)
        except StorageUnavailable:
            if known is not None:
                raise
            stats, texts = self._remembered()
            found, misplaced = self._entries(stats, None, is_silent=True)
        else:
            self._remember(stats, texts)
        return _catalogue(found, misplaced, texts)

    def versions(self, name: str | None) -> list[int]:
        known = name is None or is_name(name)
        return sorted(version for _, version in _places(self._list(name)).values()) if known else []

    def read(self, entry: Entry, settings: Settings, gives_way: bool = False) -> Held:
        kept = self._fetch(entry)
        served = read_served(kept.path, *entry.key, settings, gives_way)
        served.stamp, served.kept = entry.stamp, kept
        return served

    def path(self, name: str, version: int) -> Path:
        key = _key(name, version)
        entry = self._entry(key, self.storage.stat(key))
        return self._fetch(entry).path

    def find(self, name: str, source: Path) -> int | None:
        return self._same(source, self._list(name))

    def add(self, name: str, source: Path) -> Added:
        while True:
            stats = self._list(name)
            version = self._same(source, stats)
            is_new = version is None
            if version is None:
                highest = as_history(self._text(_beside(name, HISTORY), stats)).highest
                version = max([highest, *(version for _, version in _places(stats).values())]) + 1
                try:
                    self.storage.put_new(_key(name, version), source)
                except FileExistsError:  # somebody else's, or ours if the answer was lost
                    continue
            key = _key(name, version)
            entry = self._entry(key, self.storage.stat(key))
            kept = self.cache.keep(self._place(entry), entry.stamp.size, lambda path: _copy(source, path))
            return Added(version, is_new, entry.path, entry.stamp, kept)

    def register_once(self, name: str, source: Path) -> int:
        read_info(source)
        return self.add(name, source).version

    def choose(self, name: str, version: int | None) -> None:
        if version is None:
            self.storage.delete(_beside(name, DEFAULT))
        else:
            self.storage.write(_beside(name, DEFAULT), f"{version}\n".encode())

    def remove_version(self, name: str, version: int) -> None:
        stats = self._list(name)
        key = _key(name, version)
        if key in stats:
            before = as_history(self._text(_beside(name, HISTORY), stats))
            after = sum_of(before, stats[key].modified, version)
            self.storage.write(_beside(name, HISTORY), of_history(after).encode())
            self.storage.delete(key)
        if not self.versions(name):
            self.remove_model(name, [])

    def remove_model(self, name: str, versions: list[int]) -> None:
        for key in [*(_key(name, version) for version in versions), _beside(name, DEFAULT), _beside(name, HISTORY)]:
            self.storage.delete(key)

    def remove_abandoned(self) -> None:
        remove_abandoned(self.uploads)

    async def changes(self, stop: asyncio.Event) -> AsyncIterator[None]:
        while not stop.is_set():
            yield
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PERIOD)

    def _list(self, name: str | None) -> dict[str, Stat]:
        return self.storage.list(_PREFIX if name is None else f"{_PREFIX}{name}/")

    def _entries(
        self, stats: dict[str, Stat], known: Catalogue | None, is_silent: bool = False
    ) -> tuple[list[Entry], dict[str, str]]:
        """The versions, and what lies where none may, with the reason."""
        misplaced: dict[str, str] = {}
        places = _places(stats, misplaced)
        before = Catalogue() if known is None else known
        with ThreadPoolExecutor(_READERS) as readers:
            entries = readers.map(
                lambda key: self._known(key, stats[key], before.find(*places[key]), is_silent), places
            )
            return [entry for entry in entries if entry is not None], misplaced

    def _known(self, key: str, stat: Stat, known: Entry | None, is_silent: bool) -> Entry | None:
        """None where it has gone since it was listed."""
        if known is not None and known.stamp == _stamp(stat) and known.retry_at is None:
            return known
        try:
            return self._entry(key, stat, is_silent)
        except FileNotFoundError:
            return None

    def _entry(self, key: str, stat: Stat, is_silent: bool = False) -> Entry:
        """What the header says, of the copy here or of the storage's."""
        name, version = name_and_version(key.removeprefix(_PREFIX))
        entry = Entry(name, version, Path(), _stamp(stat), None)
        entry = dataclasses.replace(entry, path=self.cache.root / self._place(entry))
        if entry.path.is_file():
            return read_entry(entry.path, name, version, entry.stamp)
        if is_silent:
            return dataclasses.replace(entry, reason=SILENT, retry_at=0.0)
        with self._header(key, stat.size) as path:
            found = read_entry(path, name, version, entry.stamp)
        return dataclasses.replace(found, path=entry.path)

    @contextlib.contextmanager
    def _header(self, key: str, size: int) -> Iterator[Path]:
        """A file of this size that has the header of a model file, and holes for its weights."""
        start = self.storage.read(key, 0, min(_FIRST, size)) if size else b""
        end = 8 + int.from_bytes(start[:8], "little")
        if len(start) < end <= min(size, _LONGEST_HEADER):
            start += self.storage.read(key, len(start), end)
        self.cache.root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.cache.root, prefix=".header.") as file:
            file.write(start)
            file.truncate(max(size, len(start)))
            file.flush()
            yield Path(file.name)

    def _fetch(self, entry: Entry) -> Kept:
        key, size = _key(*entry.key), entry.stamp.size
        return self.cache.keep(self._place(entry), size, lambda path: self.storage.fetch(key, path, size))

    def _place(self, entry: Entry) -> str:
        return f"models/{entry.name}-{entry.version}-{entry.stamp.inode:016x}{_SUFFIX}"

    def _same(self, source: Path, stats: dict[str, Stat]) -> int | None:
        """The version that has this file's bytes; one of the same size and header is fetched to see."""
        size = source.stat().st_size
        with source.open("rb") as file:
            start = file.read(_FIRST)
        for key, (_, version) in _places(stats).items():
            if stats[key].size == size and self.storage.read(key, 0, min(_FIRST, size)) == start:
                kept = self._fetch(self._entry(key, stats[key]))
                if filecmp.cmp(kept.path, source, shallow=False):
                    return version
        return None

    def _read_texts(self, stats: dict[str, Stat]) -> dict[str, str]:
        keys = [key for key in stats if key.endswith((f"/{DEFAULT}", f"/{HISTORY}")) and key.count("/") == 2]
        return {key: self._text(key, stats) for key in keys}

    def _text(self, key: str, stats: dict[str, Stat]) -> str:
        """What a small file holds; nothing where it is not there."""
        if key not in stats:
            return ""
        tag, text = self._texts.get(key, ("", ""))
        if tag != stats[key].tag:
            try:
                text = self.storage.read(key).decode(errors="replace")
            except FileNotFoundError:
                return ""
            self._texts[key] = stats[key].tag, text
        return text

    def _remember(self, stats: dict[str, Stat], texts: dict[str, str]) -> None:
        text = json.dumps({"files": stats, "texts": texts})
        with contextlib.suppress(OSError):  # then a start without the storage has nothing
            if not self._listing.is_file() or self._listing.read_text() != text:
                self._listing.parent.mkdir(parents=True, exist_ok=True)
                with written_beside(self._listing) as beside:
                    beside.write_text(text)

    def _remembered(self) -> tuple[dict[str, Stat], dict[str, str]]:
        try:
            found = json.loads(self._listing.read_text())
            return {key: Stat(*values) for key, values in found["files"].items()}, dict(found["texts"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}, {}


def _key(name: str, version: int) -> str:
    return f"{_PREFIX}{name}/{version}{_SUFFIX}"


def _beside(name: str, record: str) -> str:
    return f"{_PREFIX}{name}/{record}"


def _places(stats: dict[str, Stat], misplaced: dict[str, str] | None = None) -> dict[str, tuple[str, int]]:
    """The name and version of each key that stands for one, in order."""
    found = {}
    for key in sorted(stats):
        place = key.removeprefix(_PREFIX)
        if not place.endswith(_SUFFIX) or any(part.startswith(".") for part in place.split("/")):
            continue
        try:
            found[key] = name_and_version(place)
        except ModelFileError as error:
            if misplaced is not None:
                misplaced[place] = str(error)
    return found


def _stamp(stat: Stat) -> Stamp:
    number = int.from_bytes(hashlib.blake2b(f"{stat.tag} {stat.modified}".encode(), digest_size=8).digest())
    return Stamp(int(stat.modified * 1e9), stat.size, number)


def _catalogue(entries: list[Entry], misplaced: dict[str, str], texts: dict[str, str]) -> Catalogue:
    models: dict[str, dict[int, Entry]] = {}
    for entry in entries:
        models.setdefault(entry.name, {})[entry.version] = entry
    pins: dict[str, int] = {}
    dates: dict[str, float] = {}
    for name, versions in models.items():
        history: History = as_history(texts.get(_beside(name, HISTORY), ""))
        dates[name] = min([*(entry.registered for entry in versions.values()), *filter(None, [history.registered])])
        try:
            text = texts.get(_beside(name, DEFAULT), "")
            pins |= {name: as_pin(text)} if text else {}
        except ValueError as error:
            misplaced[f"{name}/{DEFAULT}"] = str(error)
    return Catalogue(models, pins, dates, misplaced)


def _copy(source: Path, path: Path) -> None:
    with written_beside(path) as beside:
        try:
            beside.unlink()
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)
