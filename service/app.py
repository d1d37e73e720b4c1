"""The HTTP application, and the one place that turns errors into status codes."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.access.auth import Gate, GateMiddleware
from service.access.body_limit import FORM_BYTES, Bodies, BodyLimit
from service.access.held_back import HeldBack
from service.access.rate_exchange import RateExchange
from service.access.rate_limit import RateLimit
from service.access.security_headers import with_security_headers
from service.datasets.changes import DatasetChanges
from service.jobs.database import JobDatabase
from service.jobs.feed import Feed
from service.models.store import ModelStore
from service.observing import metrics, tracing
from service.observing.exposition import FOLDER, published
from service.observing.middleware import AnswerHeaders, Observed
from service.openapi.document import complete_openapi
from service.problems import Problem, problem_response
from service.routes import (
    align,
    datasets,
    docs,
    health,
    inference_protocol,
    invariance,
    job_events,
    job_files,
    job_output,
    jobs,
    model_uploads,
    models,
    pages,
    predict,
    training,
)
from service.routes import metrics as metrics_route
from service.routes.allowed_methods import allowed_methods
from service.routes.hot_path import HotPath
from service.settings import Settings
from training.storage.places import StorageUnavailable

log = logging.getLogger(__name__)

_DESCRIPTION = "Post a picture; get its class, the straightened picture and the transform (theta) that straightened it."


def create_app(settings: Settings, wait_for_models: bool = True) -> FastAPI:
    """The application for these settings; it loads the models when it starts and answers what waits when it ends.

    Args:
        settings: what an operator can set.
        wait_for_models: it has started once the models are loaded; otherwise at once, and answers 503 until they are.
    """

    traces = tracing.start(settings.otel_endpoint) if settings.otel_endpoint else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = app.state.models = ModelStore(settings)
        app.state.publish = lambda: metrics.publish(store.waiting, store.loaded)
        app.state.predict = predict.PredictService(store, settings)
        store.start()
        await app.state.datasets.start()
        await app.state.jobs.open()
        if wait_for_models:
            await store.wait_until_ready()
        if exchange:
            exchange.start()
        async with published(app.state.publish):
            yield
        app.state.draining = True
        app.state.held_back.end()
        if exchange:
            await to_thread.run_sync(exchange.close)
        app.state.feed.end()
        await store.close()
        await to_thread.run_sync(app.state.jobs.close)
        if traces:
            await to_thread.run_sync(traces.stop)

    app = FastAPIOffline(
        docs_url=None,
        redoc_url=None,
        title="Spatial transformers",
        version=version("stn"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        telemetry=tracing.telemetry(traces),
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.settings = settings
    app.state.jobs = JobDatabase(settings)
    app.state.datasets = DatasetChanges(settings, app.state.jobs)
    app.state.draining = False
    app.state.held_back = HeldBack(settings.refusal_seconds)
    app.state.tracing = traces
    app.state.feed = Feed(app.state.jobs)
    of_models, of_jobs = (
        (models, model_uploads, invariance),
        (datasets, training, job_events, job_output, job_files, jobs),
    )
    for module in (predict, align, *of_models, *of_jobs, health, inference_protocol, metrics_route, pages, docs):
        app.include_router(module.router)
    app.mount("/static", pages.PageFiles(directory=pages.STATIC), name="static")
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(ClientDisconnect, _forget)
    app.add_exception_handler(StorageUnavailable, _answer_silence)
    app.add_exception_handler(Exception, _answer_bug)
    rates = _rates()
    exchange = RateExchange(rates, settings.database, _shared()) if settings.database.startswith("postgresql") else None
    app.state.gate = Gate(settings, rates)
    uploads = {
        ("POST", "/v1/models"): settings.max_model_bytes + FORM_BYTES,
        ("POST", "/v1/datasets"): settings.max_dataset_bytes + FORM_BYTES,
    }
    app.state.bodies = Bodies(settings.max_body_bytes, settings.max_held_bytes, uploads)
    complete_openapi(app, app.state.gate)
    app.add_middleware(BodyLimit, bodies=app.state.bodies)
    app.add_middleware(GateMiddleware, gate=app.state.gate)
    app.add_middleware(Observed)
    if traces:
        app.add_middleware(tracing.RequestSpan)
    app.add_middleware(AnswerHeaders)
    # Outside of Starlette's own layers, too.
    app.middleware_stack = app.state.shortcut = HotPath(app.build_middleware_stack(), app.state)
    return app


def _rates() -> RateLimit:
    """Shared with the other processes that answer for this service, where there are some."""
    folder = _shared()
    return RateLimit(folder / "rates") if folder else RateLimit()


def _shared() -> Path | None:
    """The folder of the processes that answer for this service, where there are several."""
    folder = os.environ.get(FOLDER)
    return Path(folder) if folder else None


async def _answer_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    if problem.status == 429:
        problem.with_traceback(None)
        await request.app.state.held_back.wait()
    return problem_response(request, problem)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail, headers = error.detail, dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = allowed_methods(request) if "Allow" in headers else "GET, HEAD"  # of a file
        detail = f"the method must be one of {headers['Allow']}, got {request.method}"
    return problem_response(request, Problem(error.status_code, detail, headers))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return problem_response(request, Problem(422, f"{place}: {first['msg'].removeprefix('Value error, ')}"))


async def _forget(request: Request, error: Exception) -> Response:
    metrics.refused("client_gone")
    log.debug("request %s: the client went away", getattr(request.state, "request_id", None), exc_info=error)
    return Response(status_code=400)  # nobody reads it


async def _answer_silence(request: Request, error: Exception) -> Response:
    log.warning("request %s: %s", getattr(request.state, "request_id", None), error)
    return problem_response(request, Problem(503, "the storage does not answer: try again", {"Retry-After": "5"}))


async def _answer_bug(request: Request, error: Exception) -> Response:
    log.error("request %s failed", getattr(request.state, "request_id", None), exc_info=error)
    response = problem_response(
        request, Problem(500, "the service failed; its log has the reason under the request id")
    )
    response.raw_headers = with_security_headers(response.raw_headers)  # sent past all middleware
    return response
