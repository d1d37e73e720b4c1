"""How much of request bodies is taken."""

import asyncio
from typing import Any

import pytest

from service.access.body_limit import Bodies, BodyLimit
from service.problems import Problem


async def _read(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads the body and waits before it answers."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    scope["read"] = len(body)
    if "wait" in scope:
        await scope["wait"].wait()


def _scope(path: str = "/v1/predict", length: int | None = None, **more: Any) -> dict[str, Any]:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": "http", "method": "POST", "path": path, "headers": headers, **more}


def _receive(*sizes: int) -> Any:
    pieces = iter(sizes)
    left = len(sizes)

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x" * next(pieces), "more_body": left > 0}

    return receive


async def _answer(limit: BodyLimit, scope: Any, receive: Any) -> int | None:
    """The status, or None where the application had the body."""
    status = None

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    try:
        await limit(scope, receive, send)
    except Problem as problem:
        return problem.status
    return status


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_413() -> None:
    limit = BodyLimit(_read, Bodies(max_bytes=10, max_held_bytes=100))
    assert asyncio.run(_answer(limit, _scope(), _receive(4, 6))) is None
    assert asyncio.run(_answer(limit, _scope(), _receive(4, 7))) == 413
    assert asyncio.run(_answer(limit, _scope(length=11), _receive())) == 413  # nothing of it is read
    assert limit.bodies.held_bytes == 0


@pytest.mark.parametrize("length", ["-1", "+5", "x", "1e9", "٣", ""])
def test_a_length_that_is_none_is_not_believed(length: str) -> None:
    limit = BodyLimit(_read, Bodies(max_bytes=10, max_held_bytes=100))
    scope = {**_scope(), "headers": [(b"content-length", length.encode("utf-8"))]}
    assert asyncio.run(_answer(limit, scope, _receive(11))) == 413


def test_what_all_bodies_hold_is_bounded_and_given_back() -> None:
    limit = BodyLimit(_read, Bodies(max_bytes=10, max_held_bytes=25))

    async def run() -> None:
        gate = asyncio.Event()
        held = [asyncio.create_task(_answer(limit, _scope(wait=gate), _receive(10))) for _ in range(2)]
        await asyncio.sleep(0)
        assert limit.bodies.held_bytes == 20
        assert await _answer(limit, _scope(), _receive(5)) is None
        assert await _answer(limit, _scope(), _receive(5, 1)) == 429
        assert limit.bodies.held_bytes == 20
        gate.set()
        assert await asyncio.gather(*held) == [None, None]
        assert limit.bodies.held_bytes == 0
        assert await _answer(limit, _scope(), _receive(10)) is None

    asyncio.run(run())


def test_an_application_that_fails_gives_its_bytes_back() -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise RuntimeError

    limit = BodyLimit(fail, Bodies(max_bytes=10, max_held_bytes=20))
    with pytest.raises(RuntimeError):
        asyncio.run(_answer(limit, _scope(), _receive(10)))
    assert limit.bodies.held_bytes == 0


def test_an_upload_has_a_limit_of_its_own_and_is_not_held() -> None:
    limit = BodyLimit(_read, Bodies(max_bytes=10, max_held_bytes=10, uploads={("POST", "/v1/models"): 1000}))
    assert asyncio.run(_answer(limit, _scope("/v1/models"), _receive(500, 500))) is None
    assert asyncio.run(_answer(limit, _scope("/v1/models"), _receive(500, 501))) == 413
    assert asyncio.run(_answer(limit, _scope("/v1/models", length=1001), _receive())) == 413
    assert asyncio.run(_answer(limit, {**_scope("/v1/models"), "method": "PUT"}, _receive(11))) == 413


def test_a_client_that_leaves_is_not_a_body() -> None:
    async def leave(scope: Any, receive: Any, send: Any) -> None:
        scope["got"] = (await receive())["type"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    limit, scope = BodyLimit(leave, Bodies(max_bytes=10, max_held_bytes=10)), _scope()
    assert asyncio.run(_answer(limit, scope, receive)) is None
    assert scope["got"] == "http.disconnect"
