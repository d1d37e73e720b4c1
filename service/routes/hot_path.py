"""The shortest way to a prediction: around routing, validation and the layers that other requests pass through."""

import asyncio
import logging
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import State
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.security_headers import SECURITY_HEADERS
from service.observing import logs, metrics, tracing
from service.observing.middleware import request_id_of
from service.predicting.answers import Answer
from service.predicting.options import options_of
from service.problems import Problem, problem_body
from service.routes.predict import PredictService

log = logging.getLogger(__name__)

PATH = "/v1/predict"
CLIENT_GONE = 499
"""The status under which a request is counted that nobody waits for any more; it is never sent."""


class HotPath:
    """Answers `POST /v1/predict` itself, as the route of that name does, and hands on everything else.

    FastAPI takes 100 microseconds to a request on its own, more than decoding, prediction and encoding of a digit.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        state = scope["app"].state
        headers = dict(scope["headers"])
        request_id = request_id_of(headers)
        logs.request_id.set(request_id)
        if state.tracing:
            tracing.begin(request_id, f"POST {PATH}", PATH)
        try:
            answer = await self._answer(state, scope, headers, receive)
        except ClientDisconnect:
            log.debug("request %s: the client went away", request_id)
            metrics.refused("client_gone")
            _note(CLIENT_GONE, started)
            return
        except Problem as problem:
            if problem.status == 429:
                # Who is refused and tries again at once must not take the machine from who was accepted.
                problem.with_traceback(None)  # which would hold the body meanwhile
                await asyncio.sleep(state.settings.refusal_seconds)
            answer = _refusal(problem, request_id)
        except asyncio.CancelledError:
            if not state.draining:
                raise
            answer = _refusal(Problem(503, "the service is about to end", {"Retry-After": "1"}), request_id)
        except Exception as error:
            log.error("request %s failed", request_id, exc_info=error)
            answer = _refusal(
                Problem(500, "the service failed; its log has the reason under the request id"), request_id
            )
        await send(_start(answer, request_id))
        await send({"type": "http.response.body", "body": answer.body})
        _note(answer.status, started)

    async def _answer(self, state: State, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        client = scope.get("client")
        identity = state.gate.admit("POST", PATH, headers, client[0] if client else "")
        logs.key_name.set(identity.name)
        body = state.bodies.begin(scope, receive)
        try:
            service: PredictService = state.predict
            return await service.answer(headers, options_of(scope["query_string"]), body.receive)
        finally:
            body.end()


def _note(status: int, started: float) -> None:
    seconds = time.perf_counter() - started
    metrics.request(PATH, "POST", status, seconds)
    logs.request("POST", PATH, status, seconds)


def _start(answer: Answer, request_id: str) -> MutableMapping[str, Any]:
    headers = [
        (b"content-type", answer.kind.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-request-id", request_id.encode()),
        *SECURITY_HEADERS,
        *answer.headers,
    ]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


def _refusal(problem: Problem, request_id: str) -> Answer:
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return Answer(problem_body(problem, request_id), "application/problem+json", headers, problem.status)
