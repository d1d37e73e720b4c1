"""Traces of requests, sent to an OpenTelemetry collector over HTTP (OTLP); nothing of it runs unless a collector is set.

FastAPI makes the span of a request; `begin` notes in it what only the service knows.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any, NamedTuple

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Span, TracerProvider, get_current_span
from starlette.types import ASGIApp, Receive, Scope, Send

current: ContextVar[Span | None] = ContextVar("span", default=None)
"""The span of the request that is being answered; None where requests are not traced."""

_UNTRACED = ("/v2/health/", "/metrics", "/static/")
_SECONDS_TO_SEND = 5
_SECONDS_TO_STOP = 3.0


class Tracing(NamedTuple):
    """Where spans go."""

    provider: TracerProvider
    stop: Callable[[], None]
    """Sends what has not been sent, for at most 3 seconds."""


def start(endpoint: str) -> Tracing:
    """Spans go to the collector at this address, in the background.

    The SDK reads `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_EXPORTER_OTLP_HEADERS` and others from the environment.

    Raises:
        ValueError: the endpoint is no address, or the extra that sends spans is not installed.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"otel_endpoint must be the address of a collector, http://HOST:4318, got {endpoint!r}")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise ValueError(f"otel_endpoint needs the extra stn[telemetry]: {error.name} is missing") from None
    resource = Resource.create({"service.name": "stn", "service.version": version("stn")})
    provider = SdkTracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_SECONDS_TO_SEND)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, lambda: _within(_SECONDS_TO_STOP, provider.shutdown))


def telemetry(tracing: Tracing | None) -> TelemetryConfig:
    """FastAPI's own telemetry: a span per request where there is a collector, and nothing else.

    Prometheus has the numbers, and FastAPI's log records would hold what clients sent.
    """
    return {
        "tracing": tracing is not None,
        "tracer_provider": tracing.provider if tracing else None,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": _is_untraced,
    }


def begin(request_id: str, name: str | None = None, route: str | None = None) -> None:
    """Make the span that FastAPI began the `current` one, and note the request's id.

    A request that is answered before it is routed has its span's name and route from here.
    """
    span = get_current_span()
    if not span.is_recording():
        return
    current.set(span)
    span.set_attribute("stn.request_id", request_id)
    if name is not None and route is not None:
        span.update_name(name)
        span.set_attribute("http.route", route)


def stage(span: Span | None, name: str, seconds: float) -> None:
    """Note how long the request of this span spent in a stage."""
    if span is not None and span.is_recording():
        span.set_attribute(f"stn.{name}_seconds", seconds)


class RequestSpan:
    """Calls `begin` for every request; stands inside what gives it its id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            begin(scope["state"]["request_id"])
        await self.app(scope, receive, send)


def _is_untraced(scope: Any) -> bool:
    return scope["path"].startswith(_UNTRACED)


def _within(seconds: float, function: Callable[[], None]) -> None:
    """Wait for it no longer than this; what is left of it does not keep the process."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(seconds)
