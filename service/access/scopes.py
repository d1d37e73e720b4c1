"""What a key may allow, and which scope a request needs."""

import functools
import re
from typing import Literal, get_args

Scope = Literal["predict", "jobs", "models", "admin"]
"""`predict`: post pictures. `jobs`: train and measure, keep data sets. `models`: change and delete models. `admin`: all."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

ANY = "any"
"""Needed where a valid key is enough, whatever its scopes."""

_OPEN = {"/", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready"}
_OPEN_FOLDERS = ("/static/", "/static-offline-docs/")
_NEEDED = {  # by the first two parts of the path: to read (GET, HEAD), and for everything else
    "/v1/predict": ("predict", "predict"),
    "/v1/align": ("predict", "predict"),
    "/v1/models": (ANY, "models"),
    "/v1/datasets": (ANY, "jobs"),
    "/v1/jobs": ("jobs", "jobs"),
    "/v1/training": ("jobs", "jobs"),
    "/v2": (ANY, "admin"),
    "/v2/models": (ANY, "predict"),
    "/metrics": ("admin", "admin"),
}
_OF_MODELS = re.compile(r"/v1/models/[^/]+/invariance")  # a measurement, which is a job
_UNKNOWN = (ANY, "admin")  # so that a route which is missing above is closed rather than open

_ODD = re.compile(r"//|/\.{1,2}(?:/|$)|[%\\\x00-\x1f\x7f]")


def required_scope(method: str, path: str) -> str | None:
    """The scope that a request needs, `ANY` for any key, or None where it needs no key.

    The path is the one that routes are matched with: decoded once, without the prefix of a mount.
    """
    return _cached(method, path) if len(path) <= _LONGEST_CACHED else _required_scope(method, path)


def is_odd(path: str) -> bool:
    """Whether a path is written so that two programs may take it for two paths; no route has such a one.

    It has empty, `.` or `..` parts, backslashes, control characters, or is percent-encoded a second time.
    """
    return _ODD.search(path) is not None


def _required_scope(method: str, path: str) -> str | None:
    if is_odd(path):
        return ANY
    reads = method in ("GET", "HEAD")
    if reads and (path in _OPEN or path.startswith(_OPEN_FOLDERS)):
        return None
    if _OF_MODELS.fullmatch(path):
        return "jobs"
    needed = _NEEDED.get("/".join(path.split("/", 3)[:3]), _UNKNOWN)
    return needed[0] if reads else needed[1]


_cached = functools.lru_cache(1024)(_required_scope)
_LONGEST_CACHED = 200  # characters, so that the cache stays small whatever is asked for
