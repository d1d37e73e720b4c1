"""From the body of a request to a file on disk, without holding it in memory."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import open_file, to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service.models.changes import explained
from service.models.folder import UPLOAD_PREFIX
from service.problems import Problem


@asynccontextmanager
async def received(request: Request, models: Path, max_bytes: int) -> AsyncIterator[Path]:
    """A file in the models folder with the bytes of the posted file; it is gone at the end, whatever happens.

    Raises:
        Problem: 400, 413 or 415 where the body is not one file of at most `max_bytes`.
    """
    chunks = _file_chunks(request, max_bytes)
    with explained():
        models.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=models, prefix=UPLOAD_PREFIX)
        os.close(handle)
    path = Path(name)
    try:
        with explained():
            await _write(chunks, path, max_bytes)
            path.chmod(0o644)
        yield path
    finally:
        path.unlink(missing_ok=True)


async def _write(chunks: AsyncIterator[bytes], path: Path, max_bytes: int) -> None:
    size = 0
    async with await open_file(path, "wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise Problem(413, f"the model file must have at most {max_bytes:,} bytes")
            await file.write(chunk)
        await file.flush()
        await to_thread.run_sync(os.fsync, file.wrapped.fileno())
    if not size:
        raise Problem(400, "the model file is empty")


def _file_chunks(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"application/octet-stream":
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > max_bytes:
            raise Problem(413, f"the model file must have at most {max_bytes:,} bytes, got {int(declared):,}")
        return request.stream()
    if kind == b"multipart/form-data" and b"boundary" in options:
        return _form_chunks(request, options[b"boundary"])
    got = kind.decode("latin-1")[:100] or "none"
    raise Problem(415, f"Content-Type must be application/octet-stream or multipart/form-data, got {got!r}")


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
