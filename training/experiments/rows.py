"""The rows of an experiment's table in a JSON file, one for each cell: what is there is not trained again."""

import fcntl
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.runs import write_json

Row = dict[str, Any]


def read_rows(results: Path) -> list[Row]:
    """Those of the file; none where it is missing, a ValueError where it is no JSON."""
    try:
        return json.loads(results.read_text()) if results.exists() else []
    except ValueError as error:
        raise ValueError(f"{results} must be a JSON file ({error})") from None


def find_row(results: Path, wanted: Mapping[str, Any]) -> Row | None:
    """The first row with these values, or None."""
    return next((row for row in read_rows(results) if all(row[name] == value for name, value in wanted.items())), None)


def add_rows(results: Path, show: Callable[[list[Row]], None], *new: Row) -> None:
    """The file as it is by now, with these rows besides, and what `show` makes of all; one command at a time."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with (results.parent / f".{results.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = [*read_rows(results), *new]
        if rows:
            write_json(results, rows)
            show(rows)
