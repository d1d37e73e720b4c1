"""What a scrape sees: the numbers of this process, or the sum over the processes that share a folder.

Where several processes answer, whoever starts them does so inside `shared_folder`. prometheus_client then keeps the numbers
of each in files of that folder, and whichever process is scraped adds them up. What a process counted stays when it has
ended; what it held (memory, images that wait) goes with it.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from service.observing import metrics

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable from which prometheus_client learns of the folder, when it is first imported."""

_PUBLISH_EVERY = 0.5
"""Seconds; what a process that is killed counted since the last time is lost."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Processes that are started inside share their numbers in this folder, which is new, and deleted at the end.

    They must be started afresh (`spawn`), not forked.
    """
    before = os.environ.get(FOLDER)
    with tempfile.TemporaryDirectory(prefix="stn-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[FOLDER]
            else:
                os.environ[FOLDER] = before


@asynccontextmanager
async def published(publish: Callable[[], None]) -> AsyncIterator[None]:
    """Inside, the other processes see the numbers of this one, half a second old at most; nothing where it is alone."""
    if FOLDER not in os.environ:
        yield
        return
    task = asyncio.create_task(_publish_regularly(publish))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        publish()


def expose(accept: str) -> tuple[bytes, str]:
    """All metrics and their media type: OpenMetrics where the Accept header names it, otherwise Prometheus's own text."""
    if "application/openmetrics-text" in accept:
        return generate_openmetrics(_collected()), CONTENT_TYPE_OPENMETRICS
    return generate_latest(_collected()), CONTENT_TYPE_PLAIN_0_0_4


def _collected() -> CollectorRegistry:
    if FOLDER not in os.environ:
        return metrics.REGISTRY
    folder = Path(os.environ[FOLDER])
    _forget_ended(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return registry


def _forget_ended(folder: Path) -> None:
    """Delete what processes held that are no more."""
    for process in {
        int(match[1]) for file in folder.iterdir() if (match := re.search(r"_live\w*_(\d+)\.db$", file.name))
    }:
        if not _runs(process):
            with suppress(FileNotFoundError):  # another process forgets it, too
                mark_process_dead(process, str(folder))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _publish_regularly(publish: Callable[[], None]) -> None:
    while True:
        publish()
        await asyncio.sleep(_PUBLISH_EVERY)
