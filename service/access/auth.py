"""Who asks, and whether they may."""

import math
import time
from ipaddress import IPv6Address

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.browsers import SameSite
from service.access.key_ring import ANONYMOUS, Identity, KeyRing, KnownKey
from service.access.rate_limit import RateLimit
from service.access.reach import check_reach, is_private
from service.access.scopes import ANY, is_odd, required_scope
from service.observing import logs, metrics
from service.problems import Problem, problem_response
from service.settings import Settings

Headers = dict[bytes, bytes]
"""By name in lower case; of several of one name the last."""


_PROBES = "/v2/health/"  # asked by address, whatever that is


class Gate:
    """Lets a request in or says why not. Its methods take microseconds and never wait."""

    def __init__(self, settings: Settings, rates: RateLimit | None = None) -> None:
        """
        Args:
            settings: Where the keys are, and who reaches the service.
            rates: Shared by processes that answer for one service; by default this one counts alone.

        Raises:
            ValueError: others would reach the service without keys, or the keys cannot be read.
        """
        self._ring = KeyRing(settings.keys_path)
        check_reach(settings, self._ring.required)
        self._rates = rates or RateLimit()
        self._rate = settings.rate_limit
        self._open_metrics = settings.open_metrics
        known = is_private(settings) or settings.allowed_hosts
        self._same_site = SameSite((settings.host, *settings.allowed_hosts) if known else None)

    @property
    def asks_for_keys(self) -> bool:
        """Whether there is a file of keys, or was one since the service started."""
        self._ring.refresh()
        return self._ring.required

    def admit(self, method: str, path: str, headers: Headers, client: str) -> Identity:
        """Who sends this request.

        Args:
            method: In capitals.
            path: As routes are matched with it: decoded once, without the prefix of a mount.
            headers: See `Headers`.
            client: Its address.

        Raises:
            Problem: 401 without a valid key, 403 where the key does not allow it or a page of another site sent it, 404
                for a path that no route can have, 429 past the rate.
        """
        if not self.asks_for_keys and not path.startswith(_PROBES):
            self._same_site.check(method, headers)
        scope = required_scope(method, path)
        identity = ANONYMOUS
        if scope is not None and not (self._open_metrics and path == "/metrics"):
            identity = self.check(headers, scope, client)
        if scope == ANY and is_odd(path):
            raise Problem(404, "there is nothing at this path: it must have no empty, . or .. parts")
        return identity

    def check(self, headers: Headers, scope: str, client: str) -> Identity:
        """Who asks for something that needs this scope, or `ANY`, as in `admit`."""
        self._ring.refresh()
        if not self._ring.required:
            self._count(_network(client), self._rate)
            return ANONYMOUS
        key = self._find(headers)
        name, scopes = key.identity.name, key.identity.scopes
        self._count(name, key.rate or self._rate)
        if scope != ANY and scope not in scopes:
            raise Problem(403, f"the key {name} must have the scope {scope}, it has {', '.join(sorted(scopes))}")
        return key.identity

    def _find(self, headers: Headers) -> KnownKey:
        sent = _sent_key(headers)
        if sent is None:
            raise _unauthorized("a key is needed: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        key = self._ring.find(sent)
        if key is None:
            raise _unauthorized("the key is not known here")
        if key.expires <= time.time():
            raise _unauthorized(f"the key {key.identity.name} has expired")
        return key

    def _count(self, client: str, rate: float | None) -> None:
        if rate is None:
            return
        wait = self._rates.wait(client, rate)
        if wait:
            metrics.refused("rate_limit")
            raise Problem(
                429,
                f"{client} may send {rate:g} requests per second",
                {"Retry-After": str(math.ceil(wait))},
            )


class GateMiddleware:
    """Asks the gate before every request, and leaves the name of who asks for the log (`logs.key_name`) and the route."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app = app
        self.gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        client = scope.get("client")
        try:
            identity = self.gate.admit(
                scope["method"], route_path(scope), dict(scope["headers"]), client[0] if client else ""
            )
        except Problem as problem:
            await problem_response(Request(scope), problem)(scope, receive, send)
            return
        logs.key_name.set(identity.name)
        scope.setdefault("state", {})["identity"] = identity
        await self.app(scope, receive, send)


def route_path(scope: Scope) -> str:
    """The path that Starlette matches routes with: without the prefix under which the application is mounted."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    rest = path.removeprefix(prefix)
    return rest if rest == "" or rest[0] == "/" else path


def _sent_key(headers: Headers) -> bytes | None:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key")


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, {"WWW-Authenticate": "Bearer"})


def _network(client: str) -> str:
    """What an address is counted by: itself, or of version 6 its network, within which a client has any it likes."""
    if ":" not in client:
        return client
    try:
        address = IPv6Address(client)
    except ValueError:
        return client
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
