"""From the body of a request to a file on disk, without holding it in memory."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from anyio import open_file, to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service.problems import Problem

RAW = "application/octet-stream"
FORM = "multipart/form-data"


class Expected(NamedTuple):
    """What a body is to be: one file, as it is or in a form."""

    noun: str
    """What the file is called in a problem."""
    max_bytes: int
    kinds: tuple[str, ...] = (RAW,)
    """Content types of the file as it is."""


async def receive(request: Request, path: Path, expected: Expected) -> None:
    """Write the bytes of the posted file to this path.

    Raises:
        Problem: 400, 413 or 415 where the body is not one file as expected.
        OSError: it cannot be written.
    """
    size, chunks = 0, _file_chunks(request, expected)
    async with await open_file(path, "wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > expected.max_bytes:
                raise Problem(413, f"{expected.noun} must have at most {expected.max_bytes:,} bytes")
            await file.write(chunk)
        await file.flush()
        await to_thread.run_sync(os.fsync, file.wrapped.fileno())
    if not size:
        raise Problem(400, f"{expected.noun} is empty")


def _file_chunks(request: Request, expected: Expected) -> AsyncIterator[bytes]:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.decode("latin-1") in expected.kinds:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > expected.max_bytes:
            raise Problem(413, f"{expected.noun} must have at most {expected.max_bytes:,} bytes, got {int(declared):,}")
        return request.stream()
    if kind == FORM.encode() and b"boundary" in options:
        return _form_chunks(request, options[b"boundary"])
    got = kind.decode("latin-1")[:100] or "none"
    known = ", ".join(expected.kinds)
    raise Problem(415, f"Content-Type must be {known} or {FORM}, got {got!r}")


async def _form_chunks(request: Request, boundary: bytes) -> AsyncIterator[bytes]:
    """The bytes of the one file in a form, as they come."""
    form = _OneFile()
    try:
        parser = MultipartParser(
            boundary,
            {"on_part_begin": form.on_part_begin, "on_part_data": form.on_part_data, "on_end": form.on_end},
        )
        async for chunk in request.stream():
            parser.write(chunk)
            yield form.take()
        parser.finalize()
    except FormParserError:
        raise Problem(400, "the body is not the multipart form that its Content-Type announces") from None
    if not form.is_complete:
        raise Problem(400, "the form is not complete")


class _OneFile:
    """Collects what a parser says of a form that may hold one file."""

    def __init__(self) -> None:
        self.parts = 0
        self.is_complete = False
        self._bytes = bytearray()

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > 1:
            raise Problem(400, "the form must hold one file, got more parts")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._bytes += data[start:end]

    def on_end(self) -> None:
        self.is_complete = True

    def take(self) -> bytes:
        """What has come since the last time."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
