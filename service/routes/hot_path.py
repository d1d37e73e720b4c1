"""The shortest way to a prediction: around routing, validation and the layers that other requests pass through."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.datastructures import State
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.connection import WholeRequest
from service.access.security_headers import SECURITY_HEADERS, Header
from service.observing import logs, metrics, tracing
from service.observing.middleware import request_id_of
from service.predicting.answers import Answer
from service.predicting.options import options_of
from service.problems import Problem, problem_body
from service.routes.predict import MustWait, PredictService

log = logging.getLogger(__name__)

PATH = "/v1/predict"
CLIENT_GONE = 499
"""The status under which a request is counted that nobody waits for any more; it is never sent."""
_OF_PROXIES = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
"""What a layer of uvicorn reads in front of the application."""


class HotPath:
    """Answers `POST /v1/predict` itself, as the route of that name does, and hands on everything else.

    FastAPI takes 100 microseconds to a request on its own, more than decoding, prediction and encoding of a digit. A task
    and ASGI's messages take 30 more, without which a request is answered that a connection has read to its end: `at_once`.

    Args:
        app: what everything else is handed on to.
        state: the application's.
    """

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state = app, state
        self._offered: list[tuple[WholeRequest, float]] = []
        """With the time of each, on `time.perf_counter`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, time.perf_counter())
        if self.state.tracing:
            tracing.begin(exchange.request_id, f"POST {PATH}", PATH)
        await self._reply(exchange, self._admit_and_answer(exchange, receive), send)

    def takes(self, scope: Scope) -> bool:
        """Whether `at_once` may be asked to answer this request."""
        return (
            scope["path"] == PATH and scope["method"] == "POST" and not self.state.draining and not self.state.tracing
        )

    def at_once(self, request: WholeRequest) -> None:
        """Answer it in a turn of the event loop; or have it answered by a task, which may wait."""
        self._offered.append((request, time.perf_counter()))
        if len(self._offered) == 1:
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        """Begin with all that were offered while the sockets were read."""
        offered, self._offered = self._offered, []
        for request, arrived in offered:
            context = contextvars.copy_context()
            context.run(self._at_once, request, arrived, context)

    def _at_once(self, request: WholeRequest, arrived: float, context: contextvars.Context) -> None:
        exchange = _Exchange(request.scope, arrived)
        if not _OF_PROXIES.isdisjoint(exchange.headers):
            request.run(request.app)
            return

        def told(answer: Answer | Exception) -> None:
            context.run(self._end, exchange, request, answer)

        try:
            self._admit(exchange)
            self._begin(exchange, request, told)
        except Exception as error:  # noqa: BLE001 - it is answered, or logged, where all are
            self._end(exchange, request, error)

    def _begin(self, exchange: "_Exchange", request: WholeRequest, told: Callable[[Answer | Exception], None]) -> None:
        service: PredictService = self.state.predict
        body, data = self.state.bodies.begin(request.scope, request.receive), request.body
        try:
            body.count(len(data))
            options = options_of(request.scope["query_string"])
            service.at_once(exchange.headers, options, data, request.is_gone, told)
        finally:
            body.end()  # from here on it is one of the images that wait

    def _end(self, exchange: "_Exchange", request: WholeRequest, answer: Answer | Exception) -> None:
        if isinstance(answer, Answer):
            request.respond(answer.status, _headers(answer, exchange.request_id), answer.body)
            exchange.note(answer.status)
        elif isinstance(answer, MustWait):
            request.run(partial(self._go_on, exchange))
        elif isinstance(answer, Problem) and answer.status == 429:
            answer.with_traceback(None)
            request.forget_body()
            self.state.held_back.later(partial(self._refuse, exchange, request, answer))
        else:
            request.run(partial(self._fail, exchange, answer))

    def _refuse(self, exchange: "_Exchange", request: WholeRequest, problem: Problem) -> None:
        answer = _refusal(problem, exchange.request_id)
        request.respond(answer.status, _headers(answer, exchange.request_id), answer.body)
        exchange.note(answer.status)

    async def _go_on(self, exchange: "_Exchange", _scope: Scope, receive: Receive, send: Send) -> None:
        """An application for what was admitted, and cannot be answered at once."""
        await self._reply(exchange, self._answer(exchange, receive), send)

    async def _fail(
        self, exchange: "_Exchange", error: Exception, _scope: Scope, _receive: Receive, send: Send
    ) -> None:
        """An application for what has no answer."""

        async def answer() -> Answer:
            raise error

        await self._reply(exchange, answer(), send)

    def _admit(self, exchange: "_Exchange") -> None:
        client = exchange.scope.get("client")
        identity = self.state.gate.admit("POST", PATH, exchange.headers, client[0] if client else "")
        logs.key_name.set(identity.name)

    async def _admit_and_answer(self, exchange: "_Exchange", receive: Receive) -> Answer:
        self._admit(exchange)
        return await self._answer(exchange, receive)

    async def _answer(self, exchange: "_Exchange", receive: Receive) -> Answer:
        service: PredictService = self.state.predict
        body = self.state.bodies.begin(exchange.scope, receive)
        try:
            return await service.answer(exchange.headers, options_of(exchange.scope["query_string"]), body.receive)
        finally:
            body.end()

    async def _reply(self, exchange: "_Exchange", work: Awaitable[Answer], send: Send) -> None:
        """Send what this gives, or what it means that it failed."""
        request_id = exchange.request_id
        try:
            answer = await work
        except ClientDisconnect:
            log.debug("request %s: the client went away", request_id)
            metrics.refused("client_gone")
            exchange.note(CLIENT_GONE)
            return
        except Problem as problem:
            if problem.status == 429:
                problem.with_traceback(None)  # which would hold the body meanwhile
                await self.state.held_back.wait()
            answer = _refusal(problem, request_id)
        except asyncio.CancelledError:
            if not self.state.draining:
                raise
            answer = _refusal(Problem(503, "the service is about to end", {"Retry-After": "1"}), request_id)
        except Exception as error:
            log.error("request %s failed", request_id, exc_info=error)
            answer = _refusal(
                Problem(500, "the service failed; its log has the reason under the request id"), request_id
            )
        headers = _headers(answer, request_id)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        exchange.note(answer.status)


class _Exchange:
    """A request, from its head to the end of its answer."""

    __slots__ = ("headers", "request_id", "scope", "started")

    def __init__(self, scope: Scope, started: float) -> None:
        self.started = started
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id_of(self.headers)
        logs.request_id.set(self.request_id)

    def note(self, status: int) -> None:
        """Count it, and write its line in the log."""
        seconds = time.perf_counter() - self.started
        metrics.request(PATH, "POST", status, seconds)
        logs.request("POST", PATH, status, seconds)


def _headers(answer: Answer, request_id: str) -> list[Header]:
    return [
        (b"content-type", answer.kind.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-request-id", request_id.encode()),
        *SECURITY_HEADERS,
        *answer.headers,
    ]


def _refusal(problem: Problem, request_id: str) -> Answer:
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return Answer(problem_body(problem, request_id), "application/problem+json", headers, problem.status)
