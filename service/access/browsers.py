"""What a browser may not be made to do by pages of other sites, where no key would stop it."""

import functools
from collections.abc import Iterable

from service.access.reach import is_loopback
from service.problems import Problem

_READS = ("GET", "HEAD", "OPTIONS")


class SameSite:
    """Refuses requests that a page of another site had a browser send; programs other than browsers are let through."""

    def __init__(self, names: Iterable[str] | None) -> None:
        """
        Args:
            names: Hosts by which the service may be addressed, besides those of loopback; None where it can be any.
        """
        self._names = None if names is None else frozenset(name.lower().strip("[]") for name in names)
        self._is_known = functools.lru_cache(64)(self._is_known_host)

    def check(self, method: str, headers: dict[bytes, bytes]) -> None:
        """Let the request through.

        Raises:
            Problem: 403 where it comes from another site, or where it is addressed to a name that is not this service's.
        """
        host = headers.get(b"host", b"")
        if host and not self._is_known(host):
            raise Problem(
                403,
                f"the host must be localhost, 127.0.0.1 or one of STN_ALLOWED_HOSTS, got {_shown(host)}",
            )
        if method not in _READS and not _is_same_origin(headers, host):
            raise Problem(
                403, "a page of another site may not send this request: there are no keys that would tell you"
            )

    def _is_known_host(self, host: bytes) -> bool:
        """A foreign name that leads to this machine (DNS rebinding) makes its page one of ours, to the browser."""
        if self._names is None:
            return True
        name = _without_port(host.decode("latin-1").lower())
        return name in self._names or is_loopback(name)


def _is_same_origin(headers: dict[bytes, bytes], host: bytes) -> bool:
    """Browsers send Sec-Fetch-Site over https and to loopback; to other addresses, and before 2023, only Origin."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")  # none: typed or a bookmark
    origin = headers.get(b"origin")
    return origin is None or origin.partition(b"://")[2] == host != b""


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and (port.isdecimal() or not port) else host).strip("[]").rstrip(".")


def _shown(host: bytes) -> str:
    return repr(host[:64].decode("latin-1"))
