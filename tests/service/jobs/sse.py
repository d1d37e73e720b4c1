"""A reader of Server-Sent Events that is not the client's."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx2

ACCEPT = {"Accept": "text/event-stream"}


class Sent(NamedTuple):
    """One message of a stream."""

    kind: str | None
    id: int | None
    data: Any


def messages(text: str) -> list[Sent]:
    """The messages in the text of a stream, comments and what is not complete left out."""
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if "data" in fields:
            found.append(
                Sent(fields.get("event"), int(fields["id"]) if "id" in fields else None, json.loads(fields["data"]))
            )
    return found


class Watcher:
    """Reads a stream in a thread until it ends."""

    def __init__(self, url: str, path: str, **headers: str) -> None:
        self.url, self.path, self.headers = url, path, headers
        self.text = ""
        self.status = 0
        self.error: Exception | None = None
        self._stop = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            with (
                httpx2.Client(base_url=self.url, timeout=60) as client,
                client.stream("GET", self.path, headers={**ACCEPT, **self.headers}) as response,
            ):
                self.status = response.status_code
                for chunk in response.iter_text():
                    self.text += chunk
                    if self._stop:
                        return
        except httpx2.HTTPError as error:
            self.error = error

    @property
    def messages(self) -> list[Sent]:
        return messages(self.text)

    @property
    def ids(self) -> list[int]:
        return [sent.id for sent in self.messages if sent.id is not None]

    def until(self, count: int, seconds: float = 60) -> "Watcher":
        """Wait for so many messages."""
        end = time.monotonic() + seconds
        while len(self.messages) < count:
            assert time.monotonic() < end, (self.status, self.error, self.text)
            time.sleep(0.01)
        return self

    def join(self, seconds: float = 60) -> "Watcher":
        """Wait for the end of the stream."""
        self.thread.join(seconds)
        assert not self.thread.is_alive(), self.text
        return self

    def stop(self) -> None:
        self._stop = True


@contextmanager
def watching(url: str, path: str, **headers: str) -> Iterator[Watcher]:
    watcher = Watcher(url, path, **headers)
    try:
        yield watcher
    finally:
        watcher.stop()


async def read_ids(url: str, path: str, last: int, ids: list[int]) -> None:
    """Add the ids of the events of a stream that goes on after the last one, read from a socket at little cost."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: {last}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        async for line in reader:
            ids += map(int, re.findall(rb"^id: (\d+)$", line))
    finally:
        writer.close()
