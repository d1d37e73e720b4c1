"""What goes wrong with a request, as an RFC 9457 problem."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


class Problem(Exception):
    """An answer other than the one asked for; `service.app` turns it into `application/problem+json`."""

    def __init__(
        self, status: int, detail: str, headers: dict[str, str] | None = None, state: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.state = state

    def document(self) -> dict[str, Any]:
        """The members of the problem document; `error` repeats the detail for clients of the inference protocol V2."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "error": self.detail,
            **({} if self.state is None else {"state": self.state}),
        }


def problem_body(problem: Problem, request_id: str | None) -> bytes:
    """The problem document of one request, as JSON."""
    return orjson.dumps({**problem.document(), "request_id": request_id})


def problem_response(request: Request, problem: Problem) -> Response:
    """The problem as an answer to this request."""
    body = problem_body(problem, getattr(request.state, "request_id", None))
    return Response(body, problem.status, problem.headers, media_type="application/problem+json")
