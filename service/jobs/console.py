"""What a job's processes have written: all of it, its last lines, or as it comes."""

import math
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import anyio
from anyio import to_thread

from service.jobs.feed import TICK, Feed, Tail

NAME = "console.txt"
Look = Callable[[], Awaitable[bool]]
"""Brings what another machine has written, and says whether that is all there is by now."""

_CHUNK = 2**16


def start_of_tail(path: Path, lines: int) -> int:
    """Where the last so many lines of a file begin, in bytes; a line that is not complete counts as one."""
    try:
        with path.open("rb") as file:
            place = end = file.seek(0, os.SEEK_END)
            wanted = lines
            if end and lines:
                file.seek(end - 1)
                wanted += file.read(1) == b"\n"  # which ends the last line and begins none
            while place and wanted:
                size = min(_CHUNK, place)
                place -= size
                file.seek(place)
                chunk = file.read(size)
                cut = len(chunk)
                while wanted and (cut := chunk.rfind(b"\n", 0, cut)) >= 0:
                    wanted -= 1
                if not wanted:
                    return place + cut + 1
            return end if not lines else 0
    except FileNotFoundError:
        return 0


async def written(path: Path, start: int) -> AsyncGenerator[bytes]:
    """The file from this place to the end that it has now."""
    place = start
    end = _size(path)
    while place < end and (chunk := await to_thread.run_sync(_read, path, place, min(_CHUNK, end - place))):
        yield chunk
        place += len(chunk)


async def followed(
    feed: Feed, tail: Tail, path: Path, start: int, look: Look | None = None, heartbeat: float = math.inf
) -> AsyncGenerator[bytes]:
    """The same, and what is written afterwards, until the job has ended or the server ends; `look` brings it here first.

    Whenever there was nothing for `heartbeat` seconds, no bytes.
    """
    place, spoke = start, time.monotonic()
    while not feed.ending:
        has_ended = tail.ended  # before the last look: nothing is written afterwards
        is_whole = look is None or await look()
        while _size(path) > place and (chunk := await to_thread.run_sync(_read, path, place, _CHUNK)):
            yield chunk
            place, spoke = place + len(chunk), time.monotonic()
            if feed.ending:
                return
        if has_ended and is_whole:
            return
        if time.monotonic() - spoke >= heartbeat:
            yield b""
            spoke = time.monotonic()
        await anyio.sleep(TICK)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # not started yet, or deleted
        return 0


def _read(path: Path, place: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(size)
    except FileNotFoundError:
        return b""
