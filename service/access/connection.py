"""A connection to a client that may send anything, slowly, or nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.access.security_headers import SECURITY_HEADERS, Header
from service.observing.middleware import request_id_of
from service.problems import Problem, problem_body

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers; one read of the socket, up to 256 KiB, may come on top."""
SPAN_SECONDS = 20.0
"""In such a span a client must begin its first request, send all of a head, or `MIN_BODY_BYTES` of a body."""
MIN_BODY_BYTES = 20 * 1024


class WholeRequest:
    """A request that came in one piece, and that nothing has begun to answer."""

    __slots__ = ("_connection", "_cycle", "app")

    def __init__(self, connection: "Connection", cycle: RequestResponseCycle, app: Any) -> None:
        self._connection, self._cycle = connection, cycle
        self.app: ASGIApp = app
        """What answers it in the ordinary way."""

    @property
    def scope(self) -> Scope:
        return self._cycle.scope  # type: ignore[return-value]  # uvicorn's type of the same

    @property
    def body(self) -> bytes:
        return bytes(self._cycle.body)

    def forget_body(self) -> None:
        """It will not be needed for the answer, which comes later."""
        self._cycle.body.clear()

    def is_gone(self) -> bool:
        """Whether the client has gone away."""
        return self._cycle.disconnected

    async def receive(self) -> Message:
        """ASGI's messages from it, as an application gets them."""
        return await self._cycle.receive()  # type: ignore[return-value]

    def run(self, app: ASGIApp) -> None:
        """Have this application answer it, in a task, as uvicorn does."""
        HttpToolsProtocol._start_asgi_task(self._connection, self._cycle, app)  # type: ignore[arg-type]

    def respond(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send this answer; one of the headers is its length, and none of them is `connection`."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        pieces = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            pieces += (name, b": ", value, b"\r\n")
        pieces.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        pieces.append(body)
        cycle.response_started = cycle.response_complete = True
        cycle.body.clear()  # it would be kept until the next request
        cycle.transport.write(b"".join(pieces))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


@runtime_checkable
class Shortcut(Protocol):
    """Answers some requests before an application is asked."""

    def takes(self, scope: Scope) -> bool:
        """Whether it is to have this request, of which the head was read, once all of it is here."""

    def at_once(self, request: WholeRequest) -> None:
        """Answer it, or have it answered."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which closes where a head is too long or a client too slow.

    A request that came in one piece, and that waits for no other's answer, is offered to the application's shortcut.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._shortcut: Shortcut = self.config.app.state.shortcut  # type: ignore[union-attr]
        self._offers = False
        """Whether a request that begins to be answered is the one whose head is being read."""
        self._held: WholeRequest | None = None
        """What will be offered if its body comes in the same piece."""
        self._head_bytes = 0
        """Since the request began, or since the last of its body came: headers, chunk extensions, trailers."""
        self._body_bytes = 0
        """Since the span began."""
        self._in_head = True
        self._in_body = False
        self._span: asyncio.TimerHandle | None = None
        self._is_last = False
        """Whether the connection is closed after the next answer."""

    def let_go(self) -> None:
        """Close after the answer to the request that is here, or is under way; it says so."""
        self._is_last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def connection_made(self, transport: Any) -> None:  # uvloop's transports are not asyncio's
        super().connection_made(transport)
        self._begin_span()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_span()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._held is not None:
            held, self._held = self._held, None
            held.run(held.app)
        if self.transport.is_closing():
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response(f"The headers must have at most {MAX_HEAD_BYTES} bytes.")
        elif self._span is None and self._is_waiting():
            self._begin_span()

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._end_span()
        self._offers = not (self.expect_100_continue or self.flow.write_paused)
        super().on_headers_complete()
        self._offers = False

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._end_span()
        super().on_message_complete()
        if self._held is not None:
            held, self._held = self._held, None
            self._shortcut.at_once(held)

    def send_400_response(self, msg: str) -> None:
        """What is no request is answered with a problem, as all else is."""
        id = request_id_of({})
        body = problem_body(Problem(400, msg), id)
        headers = (
            *self.server_state.default_headers,
            *SECURITY_HEADERS,
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", id.encode()),
            (b"connection", b"close"),
        )
        head = b"".join([b": ".join(header) + b"\r\n" for header in headers])
        self.transport.write(STATUS_LINE[400] + head + b"\r\n" + body)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.keep_alive = cycle.keep_alive and not self._is_last
        if self._offers and app is self.app and self._shortcut.takes(cycle.scope):  # type: ignore[arg-type]
            self._held = WholeRequest(self, cycle, app)
        else:
            super()._start_asgi_task(cycle, app)

    def _is_waiting(self) -> bool:
        """Whether the client has more to send; also of a body that was refused, or of what is no request."""
        return self._in_head or self._in_body or self.cycle.response_complete

    def _begin_span(self) -> None:
        self._body_bytes = 0
        self._span = self.loop.call_later(SPAN_SECONDS, self._look_back)

    def _look_back(self) -> None:
        """Close, unless enough of a body came, or it is this side that does not read on."""
        self._span = None
        if self.transport.is_closing():
            return
        paused = self.flow.read_paused or (self._in_body and self.cycle.waiting_for_100_continue)
        if paused or (self._in_body and self._body_bytes >= MIN_BODY_BYTES):
            self._begin_span()
        else:
            self.transport.close()

    def _end_span(self) -> None:
        if self._span is not None:
            self._span.cancel()
            self._span = None
