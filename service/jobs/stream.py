"""Events as Server-Sent Events, and answers that stream until the service ends them."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import orjson
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

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


async def sse(feed: Feed, tail: Tail, after: int) -> AsyncGenerator[bytes]:
    """The bytes of the stream: each event once, in order; `end` last, where the job has ended and the server has not."""
    yield format_sse_event(retry=RECONNECT)
    events: AsyncIterator[list[Event]] = feed.follow(tail, after, HEARTBEAT)
    async for some in events:
        yield b"".join(map(_event, some)) if some else KEEPALIVE_COMMENT
    if tail.ended and tail.state is not None and not feed.ending:
        yield format_sse_event(event="end", data_str=_json({"state": tail.state, "reason": tail.reason}))


def _event(event: Event) -> bytes:
    text = shown_event(event).model_dump_json()
    return format_sse_event(data_str=text, event=event.kind, id=str(event.id))


def _json(values: dict[str, Any]) -> str:
    return orjson.dumps(values).decode()
