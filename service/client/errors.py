"""What a client raises where the service does not do what it was asked."""

from http import HTTPStatus

import httpx2
from pydantic import ValidationError

from service.schemas import ProblemDocument


class ServiceError(Exception):
    """The service did not do what it was asked.

    Args:
        status: of its answer; None where there was none.
        detail: what to mend.
        request_id: also in the service's log.
    """

    def __init__(self, status: int | None, detail: str, request_id: str | None = None) -> None:
        super().__init__(status, detail, request_id)
        self.status, self.detail, self.request_id = status, detail, request_id

    def __str__(self) -> str:
        return self.detail if self.status is None else f"{self.status}: {self.detail}"


class NoAnswer(ServiceError):
    """The service could not be reached, or the connection was lost before its answer was complete."""


class WrongRequest(ServiceError):
    """The request, or a picture or file in it, is not as the service takes it (400, 406, 413, 415, 422)."""


class TooLarge(WrongRequest):
    """The body, a picture or the number of pictures is larger than the service takes (413)."""


class NotAllowed(ServiceError):
    """The key is missing, unknown, or not for this (401, 403)."""


class NotFound(ServiceError):
    """There is no such model or version (404)."""


class Conflict(ServiceError):
    """Something that the request does not know of forbids it (409)."""


class Overloaded(ServiceError):
    """Too much is asked of the service at present (429)."""


class Unavailable(ServiceError):
    """The service is starting or ending (503)."""


class DeadlinePassed(ServiceError):
    """The answer was not there in time (504)."""


class StrangeAnswer(ServiceError):
    """The answer is not one of this service: another program listens at the address."""


NOT_READY = (NoAnswer, Unavailable)

_CLASSES: dict[int, type[ServiceError]] = {
    **dict.fromkeys((400, 406, 415, 422), WrongRequest),
    **dict.fromkeys((401, 403), NotAllowed),
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: Overloaded,
    503: Unavailable,
    504: DeadlinePassed,
}


def error_for(status: int, detail: str, request_id: str | None) -> ServiceError:
    """The error that stands for this status."""
    return _CLASSES.get(status, ServiceError)(status, detail, request_id)


def error_of(response: httpx2.Response) -> ServiceError:
    """The error that an answer stands for, whether or not it was this service that gave it."""
    status, request_id = response.status_code, response.headers.get("x-request-id")
    try:
        problem = ProblemDocument.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "an unknown status"
        detail = f"the answer is {phrase}, and not in the words of this service"
        return _CLASSES.get(status, StrangeAnswer)(status, detail, request_id)
    return error_for(status, problem.detail, problem.request_id or request_id)


def unreadable(response: httpx2.Response, reason: str) -> StrangeAnswer:
    """The error where a good answer is not what it should be."""
    request_id = response.headers.get("x-request-id")
    return StrangeAnswer(response.status_code, f"the answer is not one of this service: {reason}", request_id)
