"""Events and logs as Server-Sent Events, and answers that stream until the service ends them."""

import codecs
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.jobs.console import Look, followed
from service.jobs.feed import Feed, Tail
from service.jobs.shown import shown_event
from training.jobs.job import Event

HEARTBEAT = 15.0
"""Seconds without an event after which a comment is sent, so that proxies and clients know that the stream lives."""
RECONNECT = 1000
"""Milliseconds after which a browser connects again."""
EVENTS = "text/event-stream"


class Streamed(StreamingResponse):
    """An answer whose end is not known, or far.

    Proxies are asked not to hold it back, and what it stands on is let go of in any case, also where nobody reads it.
    """

    def __init__(
        self, content: AsyncGenerator[bytes], media_type: str, close: Callable[[], None] | None = None, **headers: str
    ) -> None:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(content, media_type=media_type, headers={"X-Accel-Buffering": "no", **names})
        self._content, self._close = content, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["is_stream"] = True  # for how long it takes says nothing of how fast the service is
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._content.aclose()
            if self._close is not None:
                self._close()


async def sse(feed: Feed, tail: Tail, messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The bytes of a stream of these messages, where one is empty a comment.

    `end` is the last, where the job has ended and the server has not.
    """
    yield format_sse_event(retry=RECONNECT)
    async for message in messages:
        yield message or KEEPALIVE_COMMENT
    if tail.ended and tail.state is not None and not feed.ending:
        yield format_sse_event(event="end", data_str=_json({"state": tail.state, "reason": tail.reason}))


async def events(feed: Feed, tail: Tail, after: int) -> AsyncIterator[bytes]:
    """A message for each event after this one, in order."""
    async for some in feed.follow(tail, after, HEARTBEAT):
        yield b"".join(map(_event, some))


async def texts(feed: Feed, tail: Tail, path: Path, start: int, look: Look | None) -> AsyncIterator[bytes]:
    """What is written from this place on, in messages of whole characters, each numbered by the byte after it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    place = start
    async for chunk in followed(feed, tail, path, start, look, HEARTBEAT):
        place += len(chunk)
        text = decoder.decode(chunk)
        yield _text(text, place - len(decoder.getstate()[0]))
    if not feed.ending and (rest := decoder.decode(b"", final=True)):
        yield _text(rest, place)


def _text(text: str, place: int) -> bytes:
    return format_sse_event(data_str=_json(text), id=str(place)) if text else b""


def _event(event: Event) -> bytes:
    text = shown_event(event).model_dump_json()
    return format_sse_event(data_str=text, event=event.kind, id=str(event.id))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
