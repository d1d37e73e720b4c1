"""What posts and deletions of data sets that were cut off have left on shared storage."""

import json
import logging
import time
from collections import Counter

from training.storage.places import Stat, Storage, StorageUnavailable

log = logging.getLogger(__name__)

OLD = 86400.0
"""Seconds after which nobody is still at work on what belongs to no data set."""
_PREFIX = "datasets/"


def sweep(storage: Storage) -> None:
    """Delete what is old and of no data set; where the storage does not answer, the next start does it."""
    before = time.time() - OLD
    try:
        storage.remove_unfinished(before)
        for name, place in _unnamed(storage.list(_PREFIX), before):
            if _place(storage, name) != place:
                log.info("a post or a deletion of the data set %s was cut off: what it left is deleted", name)
                for key in storage.list(f"{_PREFIX}{name}/{place}/"):
                    storage.delete(key)
    except StorageUnavailable as error:
        log.warning("what data sets left is not looked for: %s", error)


def _unnamed(keys: dict[str, Stat], before: float) -> list[tuple[str, str]]:
    """Names and places that may be nobody's: old, and not the only one of a data set that is there."""
    newest: dict[tuple[str, str], float] = {}
    for key, stat in keys.items():
        if key.count("/") > 2:
            _, name, place, _ = key.split("/", 3)
            newest[name, place] = max(stat.modified, newest.get((name, place), 0.0))
    counts = Counter(name for name, _ in newest)
    old = [found for found, modified in newest.items() if modified < before]
    return [(name, place) for name, place in old if counts[name] > 1 or f"{_PREFIX}{name}/set.json" not in keys]


def _place(storage: Storage, name: str) -> str | None:
    """The one that belongs to the data set of this name; None where there is no such data set."""
    try:
        return str(json.loads(storage.read(f"{_PREFIX}{name}/set.json"))["place"])
    except FileNotFoundError:
        return None
