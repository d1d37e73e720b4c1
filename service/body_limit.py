"""How much of request bodies is taken: of one, and of all at a time."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import Problem, problem_response


class BodyLimit:
    """Refuses a body that is too long, at once where its length is declared and while it is read where it is not.

    Bodies are held in memory until they are answered; what all of them hold together is bounded too.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, max_held_bytes: int, uploads: Mapping[tuple[str, str], int] | None = None
    ) -> None:
        """
        Args:
            app: What answers.
            max_bytes: Of one body.
            max_held_bytes: Of all bodies that are held.
            uploads: Most bytes of a body by method and path, where it goes to a file as it comes; it is not held then.
        """
        self.app = app
        self.max_bytes = max_bytes
        self.max_held_bytes = max_held_bytes
        self.uploads = uploads or {}
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        upload = self.uploads.get((scope["method"], scope["path"]))
        body = _Body(self, receive, self.max_bytes if upload is None else upload, is_held=upload is None)
        declared = _declared_bytes(scope)
        if declared > body.max_bytes:
            problem = Problem(413, f"the body must have at most {body.max_bytes:,} bytes, got {declared:,}")
            await problem_response(Request(scope), problem)(scope, receive, send)
            return
        try:
            await self.app(scope, body.receive, send)
        finally:
            self.held_bytes -= body.held_bytes


class _Body:
    """The body of one request, counted as it comes."""

    def __init__(self, limit: BodyLimit, receive: Receive, max_bytes: int, is_held: bool) -> None:
        self.limit = limit
        self.max_bytes = max_bytes
        self.is_held = is_held
        self.bytes = 0
        self.held_bytes = 0
        self._receive = receive

    async def receive(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))  # of a disconnect nothing
        self.bytes += size
        if self.bytes > self.max_bytes:
            raise Problem(413, f"the body must have at most {self.max_bytes:,} bytes")
        if self.is_held:
            self.held_bytes += size
            self.limit.held_bytes += size
            if self.limit.held_bytes > self.limit.max_held_bytes:
                raise Problem(429, "too many large bodies are being sent at a time", {"Retry-After": "1"})
        return message


def _declared_bytes(scope: Scope) -> int:
    """The length of the body by its header; 0 where that says none, and the body is counted all the same."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(declared) if declared.isdigit() and len(declared) < 20 else 0
