"""What a client may send before a route sees it: over a real socket, to a real server."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from service.access import connection
from service.access.connection import MAX_HEAD_BYTES, Connection
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import write_model

GET = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny" / "1.safetensors")
    with _serve(home) as port:
        yield port


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SPAN_SECONDS", 0.3)


@contextlib.contextmanager
def _serve(home: Path) -> Iterator[int]:
    config = uvicorn.Config(create_app(Settings(home=home)), port=0, log_config=None, http=Connection, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended as it started"
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)


def _ask(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the server closes, or is silent for two seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        for piece in pieces:
            try:
                client.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        return _read(client)


def _read(client: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while chunk := client.recv(65536):
            answer += chunk
            if b'"live"' in answer:
                break
    return answer


def test_headers_of_a_usual_size_are_read(port: int) -> None:
    answer = _ask(port, GET + b"X-Long: " + b"a" * 30_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param([GET + b"X-Long: ", *[b"a" * 4096] * 400], id="value"),
        pytest.param([GET, *[b"X-Many: a\r\n" * 400] * 400], id="number"),
        pytest.param([GET + b"X", *[b"-Name" * 800] * 400], id="name"),
        pytest.param([b"GET /", *[b"a" * 4096] * 400], id="path"),
        pytest.param([POST + b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"a" * 4096] * 400], id="extension"),
        pytest.param(
            [POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", *[b"X: a\r\n" * 700] * 400], id="trailers"
        ),
    ],
)
def test_a_head_without_end_is_not_kept(port: int, endless: list[bytes]) -> None:
    started = time.monotonic()
    answer = _ask(port, *endless, pause=0.0005)
    assert b"HTTP/1.1 400" in answer[-2000:] or answer == b""  # a reset may overtake the answer
    assert time.monotonic() - started < 1.9  # closed, not merely silent


def test_a_large_body_is_not_taken_for_a_head(port: int) -> None:
    size = 4 * MAX_HEAD_BYTES
    pieces = [b"a" * 8192] * (size // 8192)
    whole = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    assert _ask(port, whole, *pieces).startswith(b"HTTP/1.1 415")
    chunked = [b"2000\r\n" + piece + b"\r\n" for piece in pieces]
    answer = _ask(port, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 415")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="nothing"),
        pytest.param([GET], id="half a head"),
        pytest.param([GET, *[b"X: a\r\n"] * 20], id="a head that goes on and on"),
        pytest.param([POST + b"Content-Length: 100000\r\n\r\n", b"x"], id="a body that stops"),
        pytest.param([POST + b"Content-Length: 100000\r\n\r\n", *[b"x"] * 20], id="a body that trickles"),
        pytest.param([POST + b"Content-Length: 99999999\r\n\r\n", *[b"x"] * 20], id="a refused body that trickles"),
    ],
)
def test_a_client_that_is_too_slow_is_cut_off(port: int, pieces: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        started = time.monotonic()
        with contextlib.suppress(OSError):
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.05)
        _read(client)
        assert time.monotonic() - started < 3


@pytest.mark.usefixtures("impatient")
def test_a_client_that_is_slow_but_not_too_slow_is_answered(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MIN_BODY_BYTES", 1000)
    body = [b"a" * 1000] * 20
    head = POST + b"Connection: close\r\nContent-Length: 20000\r\n\r\n"
    assert _ask(port, head, *body, pause=0.05).startswith(b"HTTP/1.1 415")  # one second, three spans


@pytest.mark.usefixtures("impatient")
def test_an_idle_connection_is_kept_for_the_next_request(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        for _ in range(3):
            client.sendall(GET + b"\r\n")
            assert _read(client).startswith(b"HTTP/1.1 200")
            time.sleep(0.5)  # longer than a span, shorter than uvicorn's five seconds


def test_a_websocket_is_a_plain_request(port: int) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert _ask(port, GET + upgrade).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "target", [b"/static/../v1/models", b"/static/..%2fv1/models", b"//v1/models", b"/%2e/v1/models"]
)
def test_an_odd_path_leads_nowhere_over_a_socket(port: int, target: bytes) -> None:
    answer = _ask(port, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404") and b"no empty, . or .. parts" in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /v1/models HTTP/1.0\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
)
def test_an_odd_request_is_answered_and_the_next_one_too(port: int, request_: bytes) -> None:
    answer = _ask(port, request_)
    assert not answer.startswith(b"HTTP/1.1 5"), answer
    assert _ask(port, GET + b"\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent", [b"GARBAGE\r\n\r\n", POST + b"Content-Length: abc\r\n\r\n", GET + b"X: " + bytes(70_000)]
)
def test_what_is_no_request_is_answered_with_a_problem(port: int, sent: bytes) -> None:
    head, _, body = _ask(port, sent).partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 400 bad request"
    assert {b"content-type: application/problem+json", b"connection: close", b"cache-control: no-store"} <= set(lines)
    problem = json.loads(body)
    assert (problem["status"], problem["error"]) == (400, problem["detail"])
    assert f"x-request-id: {problem['request_id']}".encode() in lines
