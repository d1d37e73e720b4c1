"""A server for tests of clients that misbehaves as it is told."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True)
class Received:
    """A request, as a peer got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    seconds: float
    """When, by `time.monotonic`."""


def answer(status: int, document: object = None, **headers: str) -> bytes:
    """An answer in JSON; an underscore in the name of a header stands for a dash."""
    body = b"" if document is None else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


RESET = b"reset"
"""Instead of an answer: the connection is reset."""
CLOSED = b""
"""Instead of an answer: the connection is closed."""
SILENCE = b"silence"
"""Instead of an answer: nothing, while the connection stays open."""


@dataclass
class Peer:
    """A server that answers its requests one after another with these bytes, after which it closes the connection."""

    answers: Sequence[bytes]
    received: list[Received] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its URL."""
        ready, end = threading.Event(), asyncio.Event()
        port, loops = [0], []

        async def run() -> None:
            server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
            port[0] = server.sockets[0].getsockname()[1]
            loops.append(asyncio.get_running_loop())
            ready.set()
            await end.wait()
            server.close()

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        ready.wait(10)
        try:
            yield f"http://127.0.0.1:{port[0]}"
        finally:
            loops[0].call_soon_threadsafe(end.set)
            thread.join()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        said = self.answers[min(len(self.received), len(self.answers) - 1)]
        self.received.append(Received(method, path, headers, body, time.monotonic()))
        if said == RESET:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif said == SILENCE:
            await reader.read()
        else:
            writer.write(said)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        writer.close()
