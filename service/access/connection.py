"""A connection to a client that may send anything, slowly, or nothing."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers; one read of the socket, up to 256 KiB, may come on top."""
SPAN_SECONDS = 20.0
"""In such a span a client must begin its first request, send all of a head, or `MIN_BODY_BYTES` of a body."""
MIN_BODY_BYTES = 20 * 1024


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which closes where a head is too long or a client too slow."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        """Since the request began, or since the last of its body came: headers, chunk extensions, trailers."""
        self._body_bytes = 0
        """Since the span began."""
        self._in_head = True
        self._in_body = False
        self._span: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # uvloop's transports are not asyncio's
        super().connection_made(transport)
        self._begin_span()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_span()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
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
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._end_span()
        super().on_message_complete()

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
