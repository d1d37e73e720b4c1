"""How much of request bodies is taken: of one, and of all at a time."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import Problem, problem_response

FORM_BYTES = 16 * 1024
"""What a multipart form may add to the file in it."""


class Bodies:
    """The bodies of all requests that are being answered, which are held in memory, and what they hold together."""

    def __init__(
        self, max_bytes: int, max_held_bytes: int, uploads: Mapping[tuple[str, str], int] | None = None
    ) -> None:
        """
        Args:
            max_bytes: Of one body.
            max_held_bytes: Of all bodies that are held.
            uploads: Most bytes of a body by method and path, where it goes to a file as it comes; it is not held then.
        """
        self.max_bytes = max_bytes
        self.max_held_bytes = max_held_bytes
        self.uploads = uploads or {}
        self.held_bytes = 0

    def begin(self, scope: Scope, receive: Receive) -> "Body":
        """The body of this request, to be read by its `receive` and ended with `end`.

        Raises:
            Problem: 413 where it is declared longer than it may be.
        """
        upload = self.uploads.get((scope["method"], scope["path"]))
        body = Body(self, receive, self.max_bytes if upload is None else upload, is_held=upload is None)
        declared = _declared_bytes(scope)
        if declared > body.max_bytes:
            raise Problem(413, f"the body must have at most {body.max_bytes:,} bytes, got {declared:,}")
        return body


class Body:
    """The body of one request, counted as it comes."""

    def __init__(self, bodies: Bodies, receive: Receive, max_bytes: int, is_held: bool) -> None:
        self.bodies = bodies
        self.max_bytes = max_bytes
        self.is_held = is_held
        self.bytes = 0
        self.held_bytes = 0
        self._receive = receive

    async def receive(self) -> Message:
        """The next message of the request.

        Raises:
            Problem: 413 for more bytes than the body may have, 429 for more than all may hold.
        """
        message = await self._receive()
        self.count(len(message.get("body", b"")))  # of a disconnect nothing
        return message

    def count(self, size: int) -> None:
        """So many bytes have come; the Problems are those of `receive`."""
        self.bytes += size
        if self.bytes > self.max_bytes:
            raise Problem(413, f"the body must have at most {self.max_bytes:,} bytes")
        if self.is_held:
            self.held_bytes += size
            self.bodies.held_bytes += size
            if self.bodies.held_bytes > self.bodies.max_held_bytes:
                raise Problem(429, "too many large bodies are being sent at a time", {"Retry-After": "1"})

    def end(self) -> None:
        """Nobody holds it any more."""
        self.bodies.held_bytes -= self.held_bytes


class BodyLimit:
    """Refuses a body that is too long, at once where its length is declared and while it is read where it is not."""

    def __init__(self, app: ASGIApp, bodies: Bodies) -> None:
        self.app = app
        self.bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            body = self.bodies.begin(scope, receive)
        except Problem as problem:
            await problem_response(Request(scope), problem)(scope, receive, send)
            return
        try:
            await self.app(scope, body.receive, send)
        finally:
            body.end()


def _declared_bytes(scope: Scope) -> int:
    """The length of the body by its header; 0 where that says none, and the body is counted all the same."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(declared) if declared.isdigit() and len(declared) < 20 else 0
