"""What every answer tells a browser about itself."""

from collections.abc import Iterable

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
