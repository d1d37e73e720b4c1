"""When to look at a folder again: after changes in it, and every few seconds where none are reported."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import Change, awatch

PERIOD = 5.0
"""Seconds after which to look without a report: network file systems give none."""
_PAUSE = 1.0
"""Seconds until a folder that cannot be watched, or is not there, is tried again, and after a report until another look."""


async def changes(folder: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """One item whenever something in the folder may have changed, until it is to stop.

    The folder need not be there, and may go and come again.
    """
    while not stop.is_set():
        with contextlib.suppress(OSError, RuntimeError):
            before = _identity(folder)
            reports = awatch(
                folder,
                stop_event=stop,
                watch_filter=_is_visible,
                yield_on_timeout=True,
                rust_timeout=int(_PAUSE * 1000),
                debounce=400,
                ignore_permission_denied=True,
            )
            async with contextlib.aclosing(reports):
                yield  # what happened before the watch began
                looked, once_more = time.monotonic(), False
                async for reported in reports:
                    if reported or once_more or time.monotonic() - looked >= PERIOD:
                        looked = time.monotonic()
                        yield
                    once_more = bool(reported)  # a new folder may have had files before it was watched
                    if _identity(folder) != before:
                        break
        yield
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PAUSE)


def _is_visible(_: Change, path: str) -> bool:
    """Uploads and copies on their way to their place are hidden."""
    return not Path(path).name.startswith(".")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
