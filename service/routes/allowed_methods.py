"""Which methods a path takes, over all of its routes: each of them knows only its own."""

from starlette.requests import Request
from starlette.routing import Match

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def allowed_methods(request: Request) -> str:
    """The value of `Allow` for the path of this request."""
    return ", ".join(method for method in _METHODS if _takes(request, method))


def _takes(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
