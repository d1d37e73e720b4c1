"""What is told while pictures are read."""

import logging
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 5.0


def counted(items: Iterable[Item], total: int, title: str, unit: str) -> Iterator[Item]:
    """The items as they come, counted in a bar on a terminal; elsewhere in a line every few seconds and at the end."""
    if sys.stderr.isatty():
        columns, rows = shutil.get_terminal_size()  # sensible where the terminal does not know its own
        with tqdm(items, desc=title, total=total, unit=unit, ncols=columns, nrows=rows) as bar:
            yield from bar
        return
    last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if done == total or time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            log.info("%s: %d of %d %ss", title, done, total, unit)
            last = time.monotonic()
