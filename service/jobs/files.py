"""The files of a run folder that are for users, and no others."""

import os
import re
import stat
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from anyio import to_thread

from service.jobs import schemas

SINGLE = ("config.json", "metrics.jsonl", "model.safetensors", "result.json")
FOLDERS = {"report": (".html", ".png", ".svg", ".json", ".css"), "samples": (".png",)}
"""Folders and the endings of what is served of them."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".safetensors": "application/octet-stream",
}
_CHUNK = 2**18
_DEEPEST = 4
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


class Found(NamedTuple):
    """A file that is open, to be closed by whoever gets it."""

    file: IO[bytes]
    status: os.stat_result
    media_type: str


def is_public(path: str) -> bool:
    """Whether a path inside a run folder is one that users may have."""
    parts = path.split("/")
    if len(parts) > _DEEPEST or not all(map(_PART.fullmatch, parts)):
        return False
    if len(parts) == 1:
        return path in SINGLE
    return os.path.splitext(parts[-1])[1] in FOLDERS.get(parts[0], ())


def open_file(run: Path, path: str) -> Found | None:
    """This file of a run folder; None where there is none, or it is not for users. No link is followed inside the folder."""
    if not is_public(path):
        return None
    return open_inside(run, path.split("/"))


def open_inside(run: Path, parts: list[str]) -> Found | None:
    """The file of these parts, for users or not, likewise."""
    try:
        file = _open_inside(run, parts)
    except OSError:  # there is none, or a link (ELOOP)
        return None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        return None
    return Found(file, os.fstat(file.fileno()), TYPES[os.path.splitext(parts[-1])[1]])


def list_files(run: Path, link: str) -> list[schemas.Artifact]:
    """All of them that there are, with paths below this one."""
    found = []
    for path in sorted(_places(run)):
        opened = open_file(run, path)
        if opened is not None:
            opened.file.close()
            kind, status = opened.media_type.partition(";")[0], opened.status
            time = datetime.fromtimestamp(status.st_mtime, UTC)
            found.append(schemas.Artifact(path=path, bytes=status.st_size, time=time, type=kind, link=f"{link}/{path}"))
    return found


async def content(file: IO[bytes], size: int) -> AsyncGenerator[bytes]:
    """The first so many bytes of an open file."""
    while size > 0 and (chunk := await to_thread.run_sync(file.read, min(size, _CHUNK))):
        yield chunk
        size -= len(chunk)


def _places(run: Path) -> Iterator[str]:
    yield from SINGLE
    for folder in FOLDERS:
        for inside, folders, names in os.walk(run / folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (os.path.relpath(os.path.join(inside, name), run) for name in names)


def _open_inside(run: Path, parts: list[str]) -> IO[bytes]:
    """Opened part by part, so that none of them is a link, whoever changes the folder meanwhile."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    handle = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        try:
            inner = os.open(part, flags if last else flags | os.O_DIRECTORY, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
    return open(handle, "rb")
