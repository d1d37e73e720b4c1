"""What the models folder holds: every version's file, and what its metadata say."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stn import AlignerInfo, ModelInfo

Key = tuple[str, int]
"""Name and version."""


class Stamp(NamedTuple):
    """What tells a file's bytes from those that lay there before."""

    modified: int
    """Nanoseconds since the epoch."""
    size: int
    inode: int


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """The file of one version."""

    name: str
    version: int
    path: Path
    stamp: Stamp
    info: ModelInfo | AlignerInfo | None
    """What its metadata say; None where they cannot be read."""
    reason: str | None = None
    """Why it is refused."""
    retry_at: float | None = None
    """In seconds of the monotonic clock, where the reason may pass."""

    @property
    def key(self) -> Key:
        return self.name, self.version

    @property
    def registered(self) -> float:
        """When the file was written, in seconds since the epoch."""
        return self.stamp.modified / 1e9


class Sighting(NamedTuple):
    """A file that may still be written."""

    stamp: Stamp
    since: float
    """When this stamp was first seen, in seconds of the monotonic clock."""


@dataclasses.dataclass(frozen=True, slots=True)
class Catalogue:
    """The models folder as it was when it was read."""

    models: Mapping[str, Mapping[int, Entry]] = dataclasses.field(default_factory=dict)
    """The versions of each name."""
    pins: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """The version that is the default of a name, where one was chosen."""
    registered: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """When each name had its first version, in seconds since the epoch."""
    misplaced: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Files that stand for no version, with the reason."""
    moving: Mapping[Path, Sighting] = dataclasses.field(default_factory=dict)
    """Files that are being written, as far as can be told: they are read once they stand still."""

    def find(self, name: str, version: int) -> Entry | None:
        return self.models.get(name, {}).get(version)

    def entries(self) -> list[Entry]:
        return [entry for versions in self.models.values() for entry in versions.values()]

    def refused(self) -> dict[str, str]:
        """Every file that is not served, relative to the models folder, with the reason."""
        versions = {f"{e.name}/{e.version}.safetensors": e.reason for e in self.entries() if e.reason is not None}
        return dict(sorted({**self.misplaced, **versions}.items()))

    def with_entry(self, entry: Entry) -> "Catalogue":
        """The same with this entry in the place of its version."""
        versions = {**self.models.get(entry.name, {}), entry.version: entry}
        first = min(self.registered.get(entry.name, entry.registered), entry.registered)
        return dataclasses.replace(
            self,
            models={**self.models, entry.name: versions},
            registered={**self.registered, entry.name: first},
        )

    def without(self, name: str, version: int) -> "Catalogue":
        """The same without this version."""
        versions = {key: entry for key, entry in self.models.get(name, {}).items() if key != version}
        others = {key: value for key, value in self.models.items() if key != name}
        return dataclasses.replace(self, models={**others, name: versions} if versions else others)

    def with_pin(self, name: str, version: int | None) -> "Catalogue":
        """The same with this default version of the name; the newest where it is None."""
        others = {key: value for key, value in self.pins.items() if key != name}
        return dataclasses.replace(self, pins=others if version is None else {**others, name: version})
