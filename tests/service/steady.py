"""Clients that go on asking while something happens to the service: `python tests/service/steady.py URL SECONDS`.

It needs nothing but Python. Each client keeps its connection and never asks a second time, so that what fails is seen.
"""

import collections
import http.client
import json
import struct
import sys
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Ask(NamedTuple):
    """One request."""

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012


class Load:
    """What became of the requests of all clients."""

    def __init__(self) -> None:
        self.statuses: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def count(self, what: str, seconds: float) -> None:
        with self._lock:
            self.statuses[what] += 1
            self.slowest = max(self.slowest, seconds)

    def failures(self) -> dict[str, int]:
        """By method, path and what came instead of an answer below 400."""
        return {what: count for what, count in self.statuses.items() if not what.rpartition(" ")[2] < "4"}


def _client(url: str, load: Load, asks: Callable[[], Ask], pause: float) -> None:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    while not load.stop.is_set():
        ask, start = asks(), time.monotonic()
        try:
            connection.request(ask.method, ask.path, ask.body, ask.headers)
            with connection.getresponse() as answer:
                answer.read()
                outcome = str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            outcome = type(error).__name__
            connection.close()
        load.count(f"{ask.method} {ask.path.partition('?')[0]} {outcome}", time.monotonic() - start)
        load.stop.wait(pause)
    connection.close()


@contextmanager
def asking(url: str, clients: list[tuple[Callable[[], Ask], float]]) -> Iterator[Load]:
    """The clients ask until the end of the block; each with what to ask and the seconds between two requests."""
    load = Load()
    threads = [threading.Thread(target=_client, args=(url, load, *client)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        for thread in threads:
            thread.join()


def picture() -> bytes:
    """A grey PNG of 28x28 pixels."""
    head = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress((b"\0" + b"\x80" * 28) * 28)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def main(url: str, seconds: float) -> None:
    predict = Ask("POST", "/v1/predict", picture(), {"Content-Type": "image/png"})
    reads = [Ask("GET", path) for path in ("/v1/models", "/v1/jobs", "/v2/health/live")]
    start = time.monotonic()
    with asking(url, [(lambda: predict, 0.01)] * 4 + [(lambda ask=ask: ask, 0.1) for ask in reads]) as load:
        time.sleep(seconds)
    answered = {what: load.statuses[what] for what in sorted(load.statuses)}
    total = {"seconds": round(time.monotonic() - start, 1), "slowest_ms": round(1000 * load.slowest)}
    sys.stdout.write(json.dumps({**answered, **total, "failed": sum(load.failures().values())}) + "\n")
    sys.exit(bool(load.failures()))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
