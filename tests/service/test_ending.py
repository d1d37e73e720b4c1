"""What becomes of requests when the service starts and ends."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.service.running import IMAGE, Service, serving

REQUEST = (
    f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(IMAGE)}\r\n\r\n"
).encode() + IMAGE


class Count(NamedTuple):
    """What became of the requests of a client."""

    answered: int
    broken: int
    """Of which some of an answer came and not all of it."""
    closed: int
    """Whose connection was closed before an answer began."""


async def client(port: int) -> Count:
    """Sends one request after the other on one connection until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    try:
        while True:
            begun = False
            try:
                writer.write(REQUEST)
                head = await reader.readuntil(b"\r\n\r\n")
                begun = True
                assert head.startswith(b"HTTP/1.1 200"), head
                lengths = [line for line in head.split(b"\r\n") if line.startswith(b"content-length: ")]
                body = await reader.readexactly(int(lengths[0].split()[1]))
                assert json.loads(body)["predictions"][0]["class"]
                answered += 1
                if b"connection: close" in head:
                    return Count(answered, 0, 0)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                partial = begun or bool(getattr(error, "partial", b""))
                return Count(answered, int(partial), int(not partial))
    finally:
        writer.close()


async def _load_until_end(service: Service, clients: int, seconds: float) -> list[Count]:
    port = int(service.url.rpartition(":")[2])
    tasks = [asyncio.create_task(client(port)) for _ in range(clients)]
    await asyncio.sleep(seconds)
    service.process.send_signal(signal.SIGTERM)
    return await asyncio.gather(*tasks)


@pytest.mark.slow
def test_what_a_ready_service_holds_is_not_looked_through_for_garbage(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = tmp_path / "counted"
    (tmp_path / "sitecustomize.py").write_text(
        "import gc, signal\n"
        f"tell = lambda *_: open({str(counted)!r}, 'w').write(str(gc.get_freeze_count()))\n"
        "signal.signal(signal.SIGUSR1, tell)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with serving(home, log=tmp_path / "log") as service:
        service.wait_until_ready()
        for _ in range(100):
            service.process.send_signal(signal.SIGUSR1)
            time.sleep(0.1)
            if counted.exists() and int(counted.read_text() or 0) > 50_000:
                break
        else:
            raise AssertionError(counted.read_text())
        assert service.predict()[0] == 200


@pytest.mark.slow
def test_of_requests_that_were_accepted_none_is_lost_when_it_ends(home: Path, tmp_path: Path) -> None:
    with serving(home, log=tmp_path / "log") as service:
        service.wait_until_ready()
        counts = asyncio.run(_load_until_end(service, 16, 1.5))
        assert service.process.wait(30) == 0
        assert sum(count.answered for count in counts) > 100
        assert sum(count.broken for count in counts) == 0
        assert sum(count.closed for count in counts) == 0
    assert "Traceback" not in service.log.read_text()


@pytest.mark.slow
def test_asked_to_end_it_is_no_longer_ready_and_still_answers_until_the_delay_is_over(
    home: Path, tmp_path: Path
) -> None:
    with serving(home, log=tmp_path / "log", drain_delay="2") as service:
        service.wait_until_ready()
        service.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 1.5
        while service.get("/v2/health/ready")[0] == 200:
            assert time.monotonic() < until
        assert service.get("/v2/health/ready") == (503, b'{"ready":false}')
        assert service.get("/v2/health/live")[0] == 200
        assert service.predict()[0] == 200
        assert service.process.wait(30) == 0


@pytest.mark.slow
def test_while_it_starts_it_is_alive_and_answers_503_with_the_time_to_wait(home: Path, tmp_path: Path) -> None:
    # Nothing is prepared in this cache, which takes seconds.
    with serving(home, log=tmp_path / "log", cache=str(tmp_path / "cache")) as service:
        assert service.get("/v2/health/live")[0] == 200
        assert service.get("/v2/health/ready") == (503, b'{"ready":false}')
        status, problem = service.predict()
        assert (status, problem["title"]) == (503, "Service Unavailable")
        service.wait_until_ready()
        assert service.predict()[0] == 200
        assert service.end(signal.SIGINT) == 0
