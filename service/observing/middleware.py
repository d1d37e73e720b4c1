"""What every request passes through before its route."""

import itertools
import os
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.security_headers import with_security_headers
from service.observing import logs, metrics

_PROCESS = os.urandom(8).hex()
"""Tells the request ids of this process from all others'."""
_NUMBERS = itertools.count()
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """The client's own id where it sent a sensible one, a new one otherwise."""
    sent = headers.get(b"x-request-id", b"").decode("latin-1")
    return sent if sent and _REQUEST_ID.fullmatch(sent) else f"{_PROCESS}{next(_NUMBERS):016x}"


class AnswerHeaders:
    """Gives every request an id, and its answer that id and what `SECURITY_HEADERS` it does not have of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(dict(scope["headers"]))
        scope.setdefault("state", {})["request_id"] = request_id
        # It is not taken back: each request has a context of its own, in which errors are logged after this has ended.
        logs.request_id.set(request_id)
        own = (b"x-request-id", request_id.encode())

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*with_security_headers(message["headers"]), own]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Observed:
    """Counts every request and writes its line in the log: route, method, status, seconds."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # what a route that raises is answered with, further out

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - started
            route = route_of(scope)
            is_stream = scope["state"].get("is_stream", False)
            metrics.request(route, scope["method"], status, None if is_stream else seconds)
            logs.request(scope["method"], route, status, seconds)


def route_of(scope: Scope) -> str:
    """The template of the path of a request that was routed, `unmatched` where no route takes it.

    A route's parameters keep their names, and the files of a folder are one route, so that there are few of them.
    """
    template = getattr(scope.get("route"), "path_format", None)
    if template is not None:
        return template
    if "endpoint" not in scope:
        return "unmatched"
    mounted = scope.get("root_path", "").removeprefix(scope.get("app_root_path", ""))
    if mounted:
        return f"{mounted}/{{path}}"
    return "unmatched" if scope.get("path_params") else scope["path"]
