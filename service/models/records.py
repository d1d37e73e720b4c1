"""What lies beside a model's versions: `default`, the version that was chosen to answer, and `.history`.

The history outlives the files it tells of: a model keeps its age when its first version goes, and the number of a version
is not given again.
"""

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stn.whole_file import written_beside

_LARGEST = 4096
"""Bytes of a record."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known of files that have gone."""

    registered: float | None = None
    """When the model had its first version, in seconds since the epoch."""
    highest: int = 0
    """The highest version there was."""


def read_pin(models: Path, name: str) -> int | None:
    """The version that was chosen to be the default; None where none was.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        text = _read(models / name / "default").strip()
    except FileNotFoundError:
        return None
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise ValueError(f"default must hold a version, 1, 2, 3 ..., got {text[:20]!r}")
    return int(text)


def write_pin(models: Path, name: str, version: int | None) -> None:
    """Choose the default version; None stands for the newest."""
    path = models / name / "default"
    if version is None:
        path.unlink(missing_ok=True)
        return
    with written_beside(path) as beside:
        beside.write_text(f"{version}\n")


def read_history(models: Path, name: str) -> History:
    """What is known of the model's files that have gone; nothing where that cannot be read."""
    try:
        values: dict[str, Any] = json.loads(_read(models / name / ".history"))
        registered = values["registered"]
        return History(None if registered is None else float(registered), int(values["highest"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return History()


def remember(models: Path, name: str, registered: float | None = None, highest: int = 0) -> None:
    """Add to the model's history; where the folder cannot be written, it is not kept."""
    before = read_history(models, name)
    dates = [date for date in (before.registered, registered) if date is not None]
    after = History(min(dates, default=None), max(before.highest, highest))
    if after == before:
        return
    with contextlib.suppress(OSError), written_beside(models / name / ".history") as beside:
        beside.write_text(json.dumps({"registered": after.registered, "highest": after.highest}))


def remove_records(models: Path, name: str) -> None:
    """Forget the choice and the history."""
    for record in ("default", ".history"):
        (models / name / record).unlink(missing_ok=True)


def _read(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_LARGEST)
