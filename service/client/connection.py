"""Where a client asks, as whom, and with how much patience."""

import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2

from service.client.calls import Call, Content
from service.client.retries import Attempts

TIMEOUT = 60.0
RETRIES = 4
IMAGES_PER_REQUEST = 32
UPLOAD_TIMEOUT = 600.0
"""A model is loaded and measured before its upload is answered."""
_LONGEST_CONNECT = 5.0
_GRACE = 2.0
"""The service is told to answer within the time that is left; its answer that it could not is waited for so much longer."""
_CHUNK = 2**18


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client was told when it was made."""

    url: str
    key: str | None = field(repr=False)
    timeout: float
    retries: int
    images_per_request: int

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise ValueError(f"url must be http://HOST or https://HOST, with a port or a path, got {self.url!r}")
        if self.key is not None and not (self.key and self.key.isascii() and self.key.isprintable()):
            raise ValueError("key must be of printable ASCII characters, got others")
        _check_seconds(self.timeout)
        for name, least in (("retries", 0), ("images_per_request", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def http_options(self) -> dict[str, Any]:
        """The arguments of `httpx2.Client` or `httpx2.AsyncClient`."""
        key = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return {"base_url": self.url, "headers": {"User-Agent": f"stn/{version('stn')}", **key}}

    def attempts(self, call: Call[Any], timeout: float | None) -> Attempts:
        """How often a call is made that was given this timeout, and until when."""
        if timeout is not None:
            _check_seconds(timeout)
        return Attempts(call.repeat, self.retries, self.timeout if timeout is None else timeout)


def request_arguments(call: Call[Any], seconds: float) -> dict[str, Any]:
    """The arguments of `build_request` for an attempt that may take so long, but for the content."""
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query or None,
        "headers": {**call.headers, "X-Request-Timeout": f"{seconds:.3f}"},
        "timeout": httpx2.Timeout(seconds + _GRACE, connect=min(seconds, _LONGEST_CONNECT)),
    }


def chunks(content: Content) -> bytes | Iterator[bytes]:
    """The content as httpx takes it, from the beginning."""
    return content if isinstance(content, bytes) else _pieces(content)


def async_chunks(content: Content) -> bytes | AsyncIterator[bytes]:
    """The content as httpx takes it on an event loop, which files are read beside."""
    return content if isinstance(content, bytes) else _async_pieces(_pieces(content))


def _pieces(content: Path | Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    return _file_pieces(content) if isinstance(content, Path) else content()


def _file_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


async def _async_pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await anyio.to_thread.run_sync(next, pieces, None)) is not None:
        yield piece


def _is_address(url: str) -> bool:
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parts.scheme in ("http", "https") and bool(parts.host)


def _check_seconds(timeout: float) -> None:
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be seconds above 0, got {timeout}")
