"""From the models folder to the catalogue of what it holds."""

import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from service.models.catalogue import Catalogue, Entry, Sighting, Stamp
from service.models.folder import find_places, name_and_version
from service.models.records import read_history, read_pin, remember
from stn import ModelFileError, read_info

STILL = 0.5
"""Seconds that a file's size and time must have stood still: before, somebody may be writing it."""
RETRY = 30.0
"""Seconds until a file is read again that could not be read for a reason that may pass."""


def scan(models: Path, known: Catalogue | None = None) -> Catalogue:
    """What the folder holds; a file that has not changed since `known` is not read again.

    Files that are being written keep what is known of them. Where nothing is known yet, every file is taken as it is.

    Raises:
        OSError: the folder is there and cannot be read.
    """
    found: dict[str, dict[int, Entry]] = {}
    misplaced: dict[str, str] = {}
    moving: dict[Path, Sighting] = {}
    for place in find_places(models):
        try:
            name, version = name_and_version(place)
            stamp = read_stamp(f"{models}/{place}")
        except ModelFileError as error:
            misplaced[_printable(place)] = str(error)
            continue
        except OSError as error:
            if os.path.islink(f"{models}/{place}"):  # otherwise it has just gone
                misplaced[_printable(place)] = reason_of(error, models)
            continue
        entry = known.find(name, version) if known else None
        if entry is None or entry.stamp != stamp or _is_due(entry):
            path = models / place
            sighting = _sighting(known.moving.get(path) if known else None, stamp)
            if known and not _stands_still(sighting):
                moving[path] = sighting
            else:
                entry = read_entry(path, name, version, stamp)
        if entry is not None:
            found.setdefault(name, {})[version] = entry
    pins = _read_pins(models, found, misplaced)
    return Catalogue(found, pins, _registrations(models, found, known), misplaced, moving)


def read_entry(path: Path, name: str, version: int, stamp: Stamp) -> Entry:
    """What the file's metadata say, or why it is refused; its weights are not read."""
    try:
        info = read_info(path)
    except ModelFileError as error:
        return Entry(name, version, path, stamp, None, reason_of(error, path))
    except OSError as error:
        return Entry(name, version, path, stamp, None, reason_of(error, path), time.monotonic() + RETRY)
    if info.input.channels not in (1, 3):
        reason = f"only grey and RGB pictures can be posted, not {info.input.channels} channels"
        return Entry(name, version, path, stamp, info, reason)
    return Entry(name, version, path, stamp, info)


def read_stamp(path: str | Path) -> Stamp:
    """The file's stamp as it is now; an OSError where there is no such file."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError("a model must be a file, and this is none")
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def reason_of(error: Exception, path: Path) -> str:
    """The error's message without the path, which is the server's own."""
    if isinstance(error, OSError):
        return f"the file cannot be read ({error.strerror})" if error.strerror else str(error)
    return str(error).removeprefix(f"{path}: ")


def _printable(place: str) -> str:
    """As text that can be written anywhere, whatever bytes the name has."""
    return os.fsencode(place).decode("utf-8", "replace")


def _is_due(entry: Entry) -> bool:
    return entry.retry_at is not None and time.monotonic() >= entry.retry_at


def _sighting(before: Sighting | None, stamp: Stamp) -> Sighting:
    return before if before and before.stamp == stamp else Sighting(stamp, time.monotonic())


def _stands_still(sighting: Sighting) -> bool:
    """By the time of its last change, or, as clocks of other machines differ, by having been watched."""
    return time.time() - sighting.stamp.modified / 1e9 >= STILL or time.monotonic() - sighting.since >= STILL


def _read_pins(models: Path, names: Mapping[str, object], misplaced: dict[str, str]) -> dict[str, int]:
    pins: dict[str, int] = {}
    for name in names:
        try:
            version = read_pin(models, name)
        except (ValueError, OSError) as error:
            misplaced[f"{name}/default"] = reason_of(error, models)
            continue
        if version is not None:
            pins[name] = version
    return pins


def _registrations(models: Path, found: Mapping[str, Mapping[int, Entry]], known: Catalogue | None) -> dict[str, float]:
    """When each name had its first version, also where that version has gone or been replaced since."""
    dates: dict[str, float] = {}
    for name, versions in found.items():
        date = min(entry.registered for entry in versions.values())
        before = known.registered.get(name, date) if known else date
        gone = max(known.models.get(name, {}), default=0) if known else 0
        if before < date or gone > max(versions):
            remember(models, name, before, gone)
        history = read_history(models, name).registered
        dates[name] = min(date, before, date if history is None else history)
    return dates
