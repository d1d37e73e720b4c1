"""The HTTP application, and the one place that turns errors into status codes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.hot_path import HotPath
from service.middleware import BodyLimit, RequestId
from service.model_store import ModelStore
from service.problems import Problem, problem_response
from service.routes import health, inference_protocol, models, pages, predict
from service.settings import Settings

log = logging.getLogger(__name__)

_DESCRIPTION = "Post a picture; get its class, the straightened picture and the transform (theta) that straightened it."


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings; it loads the models when it starts and answers what waits when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.models = ModelStore(settings)
        app.state.predict = predict.PredictService(app.state.models, settings)
        for name, versions in app.state.models.served.items():
            log.info("serving model %s, version %s", name, ", ".join(map(str, versions)))
        yield
        app.state.models.close()

    app = FastAPIOffline(
        redoc_url=None,
        favicon_url="/static/icon.svg",
        title="Spatial transformers",
        version=version("stn"),
        description=_DESCRIPTION,
        lifespan=lifespan,
    )
    app.state.settings = settings
    for module in (predict, models, health, inference_protocol, pages):
        app.include_router(module.router)
    app.mount("/static", pages.PageFiles(directory=pages.STATIC), name="static")
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(ClientDisconnect, _forget)
    app.add_exception_handler(Exception, _answer_bug)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RequestId)
    app.add_middleware(HotPath)
    return app


async def _answer_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    if problem.status == 429:
        await asyncio.sleep(request.app.state.settings.refusal_seconds)  # as on the hot path, for the same reason
    return problem_response(request, problem)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 413:
        detail = f"the body must have at most {request.app.state.settings.max_body_bytes:,} bytes"
    return problem_response(request, Problem(error.status_code, detail, dict(error.headers or {})))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return problem_response(request, Problem(422, f"{place}: {first['msg']}"))


async def _forget(request: Request, error: Exception) -> Response:
    log.debug("request %s: the client went away", getattr(request.state, "request_id", None), exc_info=error)
    return Response(status_code=400)  # nobody reads it


async def _answer_bug(request: Request, error: Exception) -> Response:
    log.error("request %s failed", getattr(request.state, "request_id", None), exc_info=error)
    return problem_response(request, Problem(500, "the service failed; its log has the reason under the request id"))
