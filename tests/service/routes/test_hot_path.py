"""Requests that come in one piece are answered without a task and ASGI's messages, and as all others are."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from service.access.connection import WholeRequest
from service.predicting.predictor import Predictor
from service.routes import hot_path, predict
from service.settings import Settings
from tests.service.conftest import encode, picture, write_model
from tests.service.serving import serving

PICTURE = encode(picture(16, 20))
FORM = b"".join(
    (
        b'--edge\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n',
        PICTURE,
        b"\r\n--edge--\r\n",
    )
)
IMAGE = "Content-Type: image/png"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny" / "1.safetensors")
    settings = Settings(home=home, refusal_seconds=0, max_body_bytes=40_000, max_request_pixels=10**6)
    with serving(settings) as address:
        host, _, port = address.partition(":")
        yield host, int(port)


def request(
    body: bytes = PICTURE, *headers: str, query: str = "", version: str = "1.1", host: str = "localhost"
) -> bytes:
    lines = [f"POST /v1/predict{query} HTTP/{version}", f"Host: {host}", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read(stream: socket.SocketIO) -> Answer:
    status = int(stream.readline().split()[1])
    lines = iter(stream.readline, b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)}
    return Answer(status, headers, stream.read(int(headers.get("content-length", "0"))))


def ask(address: tuple[str, int], *pieces: bytes) -> Answer:
    """The answer to a request that is sent in these pieces."""
    with socket.create_connection(address, timeout=20) as client, client.makefile("rb") as stream:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.05)  # until it was read
        return read(stream)


def alike(answer: Answer) -> Answer:
    """Without what differs between two answers to the same request."""
    others = {name: value for name, value in answer.headers.items() if name not in ("date", "server-timing")}
    number = others.pop("x-request-id")
    length = others.pop("content-length")
    assert int(length) == len(answer.body)
    body = answer.body.replace(number.encode(), b"ID")
    return Answer(answer.status, others, body)


REQUESTS = {
    "picture": request(PICTURE, IMAGE),
    "form": request(FORM, "Content-Type: multipart/form-data; boundary=edge"),
    "two pictures": request(FORM[: -len(b"--edge--\r\n")] + FORM, "Content-Type: multipart/form-data; boundary=edge"),
    "JSON": request(json.dumps({"images": ["!"]}).encode(), "Content-Type: application/json"),
    "PNG as the answer": request(PICTURE, IMAGE, "Accept: image/png"),
    "with details": request(PICTURE, IMAGE, query="?include=grid,activations,input&top_k=2"),
    "theta of its own": request(PICTURE, IMAGE, query="?theta=0.5,0,0,0,0.5,0"),
    "wrong theta": request(PICTURE, IMAGE, query="?theta=0.5,0"),
    "large picture": request(encode(Image.new("L", (300, 300))), IMAGE),
    "large body": request(
        encode(Image.fromarray(np.random.default_rng(0).integers(0, 255, (150, 150), np.uint8))), IMAGE
    ),
    "damaged picture": request(PICTURE[:-30], IMAGE),
    "no picture": request(b"", IMAGE),
    "body of another kind": request(PICTURE, "Content-Type: text/plain"),
    "body that is too long": request(bytes(50_000), IMAGE),
    "unknown model": request(PICTURE, IMAGE, query="?model=none"),
    "unknown field": request(PICTURE, IMAGE, query="?model=tiny&name=x"),
    "wrong timeout": request(PICTURE, IMAGE, "X-Request-Timeout: soon"),
    "timeout in no time": request(PICTURE, IMAGE, "X-Request-Timeout: 1e-9"),
    "foreign host": request(PICTURE, IMAGE, host="elsewhere.example"),
    "through a proxy": request(PICTURE, IMAGE, "X-Forwarded-For: 10.0.0.1"),
    "own id": request(PICTURE, IMAGE, "X-Request-Id: mine"),
    "no keep-alive": request(PICTURE, IMAGE, "Connection: close"),
    "old version": request(PICTURE, IMAGE, version="1.0"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_it_does_not_matter_in_how_many_pieces_a_request_comes(address: tuple[str, int], name: str) -> None:
    whole = REQUESTS[name]
    head = whole.index(b"\r\n\r\n") + 4
    found, expected = alike(ask(address, whole)), alike(ask(address, whole[:20], whole[20:head], whole[head:]))
    assert found == expected


def test_a_request_in_one_piece_takes_the_short_way(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[str] = []
    ordinary, at_once = hot_path.HotPath._answer, hot_path.HotPath._begin
    monkeypatch.setattr(hot_path.HotPath, "_answer", lambda *a: (ways.append("ordinary"), ordinary(*a))[1])
    monkeypatch.setattr(hot_path.HotPath, "_begin", lambda *a: (ways.append("at once"), at_once(*a))[1])
    whole = REQUESTS["picture"]
    for pieces in ([whole], [whole[:-9], whole[-9:]], [REQUESTS["form"]], [REQUESTS["through a proxy"]]):
        assert ask(address, *pieces).status == 200
    assert ways == ["at once", "ordinary", "at once", "ordinary"]


def test_requests_that_follow_each_other_in_one_piece_are_answered_in_their_order(address: tuple[str, int]) -> None:
    names = ("picture", "form", "damaged picture", "large picture", "picture", "unknown model", "picture")
    expected = [alike(ask(address, REQUESTS[name])) for name in names]
    with socket.create_connection(address, timeout=20) as client, client.makefile("rb") as stream:
        client.sendall(b"".join(REQUESTS[name] for name in names))
        assert [alike(read(stream)) for _ in names] == expected


def test_a_client_that_waits_to_be_told_to_continue_is_told(address: tuple[str, int]) -> None:
    whole = request(PICTURE, IMAGE, "Expect: 100-continue")
    head = whole.index(b"\r\n\r\n") + 4
    with socket.create_connection(address, timeout=20) as client, client.makefile("rb") as stream:
        client.sendall(whole[:head])
        assert re.match(rb"HTTP/1.1 100 ", stream.readline())
        assert stream.readline() == b"\r\n"
        client.sendall(whole[head:])
        assert read(stream).status == 200


def test_a_request_whose_client_has_gone_is_not_computed(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []
    note, find = hot_path._Exchange.note, predict._Alone.find

    def gone(alone: Any) -> None:
        alone._is_gone.__self__._cycle.disconnected = True  # as a connection notes it
        find(alone)

    monkeypatch.setattr(predict._Alone, "find", gone)
    monkeypatch.setattr(predict._Alone, "decode", lambda _: pytest.fail("it was decoded"))
    monkeypatch.setattr(hot_path._Exchange, "note", lambda self, status: (statuses.append(status), note(self, status)))
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(REQUESTS["picture"])
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert statuses == [hot_path.CLIENT_GONE]


def test_what_it_answers_is_counted_and_nothing_of_it_stays(address: tuple[str, int]) -> None:
    def counted() -> tuple[int, int, int]:
        with socket.create_connection(address, timeout=20) as client, client.makefile("rb") as stream:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            text = read(stream).body.decode()
        names = (
            r'stn_requests_total{method="POST",route="/v1/predict",status="200"}',
            r'stn_stage_seconds_count{stage="decode"}',
            r"stn_queue_images",
        )
        values = (re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE) for name in names)
        return tuple(int(float(value[1])) if value else 0 for value in values)

    before = counted()
    for _ in range(3):
        assert ask(address, REQUESTS["picture"]).status == 200
    after = counted()
    assert (after[0] - before[0], after[1] - before[1], after[2]) == (3, 3, 0)


def test_what_finds_the_queue_full_is_refused_later_and_asks_again_on_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "models" / "tiny" / "1.safetensors")
    full, check = [True], Predictor.check_room

    def check_room(predictor: Predictor, images: int) -> None:
        check(predictor, predictor.max_waiting + images if full[0] else images)

    monkeypatch.setattr(Predictor, "check_room", check_room)
    began = []
    monkeypatch.setattr(WholeRequest, "run", lambda *_: began.append("a task"))
    with serving(Settings(home=tmp_path, refusal_seconds=0.3)) as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as client, client.makefile("rb") as stream:
            start = time.monotonic()
            client.sendall(request(PICTURE, IMAGE))
            refused = read(stream)
            assert time.monotonic() - start >= 0.3
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert refused.headers["content-type"] == "application/problem+json"
            assert json.loads(refused.body)["request_id"] == refused.headers["x-request-id"]
            full[0] = False
            client.sendall(request(PICTURE, IMAGE))
            assert read(stream).status == 200
    assert began == []
