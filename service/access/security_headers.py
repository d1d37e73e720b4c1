"""What every answer tells a browser about itself."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),  # the type is the one that is declared
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),  # no page of another origin embeds it
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""For an answer that is data; pages have a policy of their own."""


def with_security_headers(headers: Iterable[Header]) -> list[Header]:
    """These headers, and those of `SECURITY_HEADERS` that they lack."""
    answer = list(headers)
    names = {name for name, _ in answer}
    answer.extend(header for header in SECURITY_HEADERS if header[0] not in names)
    return answer


class SecurityHeaders:
    """Adds `SECURITY_HEADERS` to every answer that does not have its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_security_headers(message["headers"])
            await send(message)

        await self.app(scope, receive, send_with_headers)
