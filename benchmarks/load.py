"""Sends HTTP requests as fast as they are answered, or at a fixed rate, and prints as JSON what came back and how late.

    python benchmarks/load.py 127.0.0.1 8000 a.http b.http --connections 32 --seconds 5
    python benchmarks/load.py 127.0.0.1 8000 a.http b.http --connections 256 --rate 1000 --seconds 5

Each file is one HTTP/1.1 request, byte for byte as it goes over the wire; the requests take turns. Without `--rate` every
connection sends the next request when its last one was answered (closed loop). With it, requests are due at even distances
whatever the server does (open loop), and their latency counts from the moment at which they were due: a server that stands
still for a second is charged for all that should have been sent in it. A request that is due while no connection is free
is not sent, and is counted apart.

What is printed:
    statuses: answers of each status per second.
    sent, failed, unsent: requests of the measured time; `failed` were cut off or not answered at all.
    accepted: answers with status 200, those in the warm-up too.
    wrong: of a sample of the answers with status 200, those that are no JSON or differ from the first to the same request.
    p50_ms, p90_ms, p99_ms, max_ms: latency of what was answered with 200.
    busy: share of the time that this process computed; near 1, a closed loop measures itself. An open one always spins.
"""

import argparse
import asyncio
import collections
import dataclasses
import gc
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from alike import alike

SAMPLE = 16
"""One of so many answers is read."""
ENTIRELY = 10.0
"""Seconds that the last answers may take after the last request was sent."""
SPIN = 0.002
"""A request that is due sooner than this, in seconds, is waited for without sleeping: timers are a millisecond coarse."""


@dataclasses.dataclass
class Tally:
    """What came back of the requests that were due while it was measured."""

    start: float
    end: float
    statuses: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    latencies: list[float] = dataclasses.field(default_factory=list)
    """Milliseconds, of answers with status 200."""
    sent: int = 0
    failed: int = 0
    unsent: int = 0
    accepted: int = 0
    wrong: int = 0
    busy: float = 0.0

    def measures(self, due: float) -> bool:
        return self.start <= due < self.end

    def report(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        seconds = self.end - self.start
        ordered = sorted(self.latencies)
        return {
            "seconds": seconds,
            "statuses": {str(status): count / seconds for status, count in sorted(self.statuses.items())},
            **{name: getattr(self, name) for name in ("sent", "failed", "unsent", "accepted", "wrong", "busy")},
            **{f"p{share}_ms": quantile(ordered, share / 100) for share in (50, 90, 99)},
            "max_ms": quantile(ordered, 1.0),
        }


class Load:
    """All connections, what they send and what came back."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], tally: Tally, closed: bool) -> None:
        self.address = address
        self.requests = requests
        self.tally = tally
        self.closed = closed
        self.free: collections.deque[Connection] = collections.deque()
        self.waiting: dict[Connection, float] = {}
        """When the request was due that a connection waits for the answer to."""
        self.turns = itertools.cycle(range(len(requests)))
        self._first: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """One more connection, tried until the server takes it or nothing is to be sent any more."""
        while time.perf_counter() < self.tally.end:
            try:
                await asyncio.get_running_loop().create_connection(lambda: Connection(self), *self.address)
                return
            except OSError:
                await asyncio.sleep(0.01)

    def ready(self, connection: "Connection") -> None:
        """What a connection does that has nothing to do."""
        now = time.perf_counter()
        if not self.closed:
            self.free.append(connection)
        elif now < self.tally.end:
            connection.send(next(self.turns), now)

    def answered(self, turn: int, due: float, status: int, body: bytes) -> None:
        self.tally.accepted += status == 200
        if not self.tally.measures(due):
            return
        self.tally.statuses[status] += 1
        if status == 200:
            self.tally.latencies.append(1e3 * (time.perf_counter() - due))
            if len(self.tally.latencies) % SAMPLE == 1:
                self.tally.wrong += not self._is_right(turn, body)

    def lost(self, connection: "Connection") -> None:
        """A connection is gone, and with it the answer that was to come; another takes its place."""
        due = self.waiting.pop(connection, None)
        self.tally.failed += due is not None and self.tally.measures(due)
        if connection in self.free:
            self.free.remove(connection)
        task = asyncio.get_running_loop().create_task(self.connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_right(self, turn: int, body: bytes) -> bool:
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return alike(self._first.setdefault(turn, answer), answer)


class Connection(asyncio.Protocol):
    """One request at a time, and its answer, of which only the status and the length are read."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._received = b""
        self._turn = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.load.ready(self)

    def send(self, turn: int, due: float) -> None:
        self._turn = turn
        self.load.waiting[self] = due
        self.load.tally.sent += self.load.tally.measures(due)
        self._transport.write(self.load.requests[turn])

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        start = received.find(b"\r\n\r\n") + 4
        if start < 4:
            return
        head = received[:start].lower()
        length = head.find(b"content-length:")
        if length < 0:
            self._transport.abort()  # neither this server nor its peers answer in chunks
            return
        end = start + int(head[length + 15 : head.index(b"\r", length)])
        if len(received) < end:
            return
        self._received = b""
        due = self.load.waiting.pop(self)
        self.load.answered(self._turn, due, int(head[9:12]), received[start:end])
        if b"connection: close" not in head:
            self.load.ready(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.load.lost(self)


async def run(
    address: tuple[str, int],
    requests: Sequence[bytes],
    connections: int,
    rate: float | None,
    seconds: float,
    warm_up: float,
) -> dict[str, Any]:
    """What came back within these seconds, after a warm-up that is not counted; a closed loop where there is no rate."""
    opened = time.perf_counter()
    tally = Tally(opened + warm_up, opened + warm_up + seconds)
    load = Load(address, requests, tally, closed=rate is None)
    used = time.process_time()
    await asyncio.gather(*(load.connect() for _ in range(connections)))
    if rate is not None:
        await _pace(load, rate, opened)
    await asyncio.sleep(tally.end - time.perf_counter())
    tally.busy = (time.process_time() - used) / (time.perf_counter() - opened)
    while load.waiting and time.perf_counter() < tally.end + ENTIRELY:
        await asyncio.sleep(0.01)
    tally.failed += sum(map(tally.measures, load.waiting.values()))
    return tally.report()


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of the ordered values does not exceed; None where there are none."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _pace(load: Load, rate: float, start: float) -> None:
    """Send every request when it is due, until the end; what was due while connections opened is sent late."""
    for number in itertools.count():
        due = start + number / rate
        if due >= load.tally.end:
            return
        await asyncio.sleep(0)  # what was answered meanwhile is read, also where sending is late
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left - SPIN if left > SPIN else 0)
        if load.free:
            load.free.popleft().send(next(load.turns), due)
        else:
            load.tally.unsent += load.tally.measures(due)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path, nargs="+", help="files, each one whole HTTP request")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, help="requests per second; as fast as they are answered without")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds that do not count")
    options = parser.parse_args()
    requests = [path.read_bytes() for path in options.requests]
    gc.disable()  # it would stop the clock's owner, not the server
    address = options.host, options.port
    report = uvloop.run(run(address, requests, options.connections, options.rate, options.seconds, options.warm_up))
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
