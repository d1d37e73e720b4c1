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

DEFAULT, HISTORY = "default", ".history"

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
        return as_pin(_read(models / name / DEFAULT))
    except FileNotFoundError:
        return None


def as_pin(text: str) -> int:
    """The version that such a file names; a ValueError where it holds something else."""
    if not re.fullmatch("[1-9][0-9]{0,8}", text.strip()):
        raise ValueError(f"default must hold a version, 1, 2, 3 ..., got {text.strip()[:20]!r}")
    return int(text)


def write_pin(models: Path, name: str, version: int | None) -> None:
    """Choose the default version; None stands for the newest."""
    path = models / name / DEFAULT
    if version is None:
        path.unlink(missing_ok=True)
        return
    with written_beside(path) as beside:
        beside.write_text(f"{version}\n")


def read_history(models: Path, name: str) -> History:
    """What is known of the model's files that have gone; nothing where that cannot be read."""
    try:
        return as_history(_read(models / name / HISTORY))
    except OSError:
        return History()


def as_history(text: str) -> History:
    """The history that such a file holds; nothing where it holds something else."""
    try:
        values: dict[str, Any] = json.loads(text)
        registered = values["registered"]
        return History(None if registered is None else float(registered), int(values["highest"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return History()


def of_history(history: History) -> str:
    """The reverse."""
    return json.dumps({"registered": history.registered, "highest": history.highest})


def sum_of(before: History, registered: float | None = None, highest: int = 0) -> History:
    """What is known when this is added."""
    dates = [date for date in (before.registered, registered) if date is not None]
    return History(min(dates, default=None), max(before.highest, highest))


def remember(models: Path, name: str, registered: float | None = None, highest: int = 0) -> None:
    """Add to the model's history; where the folder cannot be written, it is not kept."""
    before = read_history(models, name)
    after = sum_of(before, registered, highest)
    if after == before:
        return
    with contextlib.suppress(OSError), written_beside(models / name / HISTORY) as beside:
        beside.write_text(of_history(after))


def remove_records(models: Path, name: str) -> None:
    """Forget the choice and the history."""
    for record in (DEFAULT, HISTORY):
        (models / name / record).unlink(missing_ok=True)


def _read(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_LARGEST)
