"""The load generator against a server of a few lines, which counts too."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LOAD = Path(__file__).parents[2] / "benchmarks" / "load.py"
REQUESTS = [b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n" + name for name in (b"a", b"b")]

Respond = Callable[[int, bytes], bytes | None]
"""From the number of a request and its body to what is sent back; None cuts the connection."""


def answer(status: int, body: str) -> bytes:
    return f"HTTP/1.1 {status} Some\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def good(_: int, body: bytes) -> bytes:
    return answer(200, json.dumps({"name": body.decode(), "value": 0.25}))


async def _load(folder: Path, arguments: str, respond: Respond, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
    bodies: list[bytes] = []
    handlers: list[asyncio.Task[None] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(1)
                bodies.append(body)
                response = respond(len(bodies), body)
                await asyncio.sleep(seconds)
                if response is None:
                    break
                writer.write(response)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the load generator has ended
        writer.close()

    files = [folder / f"{index}.http" for index in range(len(REQUESTS))]
    for file, request in zip(files, REQUESTS, strict=True):
        file.write_bytes(request)
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = str(server.sockets[0].getsockname()[1])
        command = [str(LOAD), "127.0.0.1", port, *map(str, files), "--warm-up", "0", *arguments.split()]
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    await asyncio.gather(*(handler for handler in handlers if handler))
    return json.loads(output), bodies


def load(folder: Path, arguments: str, respond: Respond, seconds: float = 0.0) -> tuple[dict[str, Any], list[bytes]]:
    """What the load generator reports of a server that answers so after this time, and the bodies that reached it."""
    return asyncio.run(_load(folder, arguments, respond, seconds))


def test_a_closed_loop_counts_what_the_server_counts(tmp_path: Path) -> None:
    report, bodies = load(tmp_path, "--connections 4 --seconds 0.5", good)
    assert report["sent"] == len(bodies) == round(0.5 * report["statuses"]["200"])
    assert (report["failed"], report["unsent"], report["wrong"]) == (0, 0, 0)
    assert abs(bodies.count(b"a") - bodies.count(b"b")) <= 1
    assert 0 < report["p50_ms"] <= report["p90_ms"] <= report["p99_ms"] <= report["max_ms"]


def test_the_warm_up_is_not_counted(tmp_path: Path) -> None:
    report, bodies = load(tmp_path, "--connections 1 --seconds 0.2 --warm-up 0.2", good)
    assert 0 < report["sent"] < report["accepted"] == len(bodies)


def test_each_connection_waits_for_its_answer(tmp_path: Path) -> None:
    report, _ = load(tmp_path, "--connections 3 --seconds 0.5", good, seconds=0.05)
    assert report["p50_ms"] >= 50
    assert 3 <= report["sent"] <= 3 * 10


def test_an_open_loop_sends_at_its_rate(tmp_path: Path) -> None:
    report, bodies = load(tmp_path, "--connections 50 --rate 100 --seconds 0.5", good)
    assert len(bodies) == report["sent"] == 0.5 * report["statuses"]["200"] == 50


def test_an_open_loop_counts_apart_what_no_connection_is_free_for(tmp_path: Path) -> None:
    report, bodies = load(tmp_path, "--connections 2 --rate 100 --seconds 0.5", good, seconds=0.1)
    assert report["sent"] + report["unsent"] == 50
    assert 2 <= len(bodies) == report["sent"] <= 2 * 6


def test_an_open_loop_charges_a_pause_of_the_server_to_all_that_was_due_in_it(tmp_path: Path) -> None:
    def pausing(number: int, body: bytes) -> bytes:
        if number == 20:
            time.sleep(0.2)
        return good(number, body)

    report, _ = load(tmp_path, "--connections 100 --rate 100 --seconds 0.5", pausing)
    assert (
        report["p90_ms"] > 50
    )  # 20 of 50 requests were due in the pause; in a closed loop only those in flight would tell of it


def test_each_status_is_counted_by_itself_and_latency_is_that_of_the_accepted(tmp_path: Path) -> None:
    def refusing(number: int, body: bytes) -> bytes:
        return good(number, body) if number == 1 else answer(429, "{}")

    report, bodies = load(tmp_path, "--connections 2 --seconds 0.4", refusing)
    assert round(0.4 * report["statuses"]["200"]) == 1
    assert round(0.4 * report["statuses"]["429"]) == len(bodies) - 1
    assert report["p50_ms"] == report["max_ms"] > 0


def test_a_cut_connection_is_a_failure_and_is_opened_again(tmp_path: Path) -> None:
    def cutting(number: int, body: bytes) -> bytes | None:
        return good(number, body) if number % 10 else None

    report, bodies = load(tmp_path, "--connections 2 --seconds 0.4", cutting)
    assert report["failed"] == len(bodies) // 10 > 1
    assert report["sent"] == len(bodies)


def test_versions_and_pictures_may_change(tmp_path: Path) -> None:
    def changing(number: int, sent: bytes) -> bytes:
        return answer(200, json.dumps({"version": number, "picture": f"data:image/png;base64,{number}"}))

    report, bodies = load(tmp_path, "--connections 2 --seconds 0.4", changing)
    assert len(bodies) > 100
    assert report["wrong"] == 0


@pytest.mark.parametrize("body", ["{", json.dumps({"name": "a", "value": 0.5}), json.dumps({"name": "a"})])
def test_a_sample_of_the_answers_is_compared_with_the_first(tmp_path: Path, body: str) -> None:
    def changing(number: int, sent: bytes) -> bytes:
        return good(number, sent) if number <= 40 else answer(200, body)

    report, bodies = load(tmp_path, "--connections 2 --seconds 0.4", changing)
    assert len(bodies) > 100
    assert report["wrong"] > 1
