"""Spans of requests, as a collector gets them."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.testclient import TestClient

from service.app import create_app
from service.observing import metrics, tracing
from service.settings import Settings
from tests.service.conftest import encode, picture

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Span(NamedTuple):
    name: str
    attributes: dict[str, Any]
    trace: str
    parent: str
    failed: bool


class Collector(NamedTuple):
    """What a collector at this address was sent."""

    url: str
    requests: list[ExportTraceServiceRequest]

    def spans(self) -> list[Span]:
        return [
            Span(
                span.name,
                {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes},
                span.trace_id.hex(),
                span.parent_span_id.hex(),
                span.status.code == span.status.STATUS_CODE_ERROR,
            )
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    requests: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Collector(f"http://127.0.0.1:{server.server_port}", requests)
        server.shutdown()
        thread.join()


def settings(home: Path, endpoint: str) -> Settings:
    return Settings(home=home, otel_endpoint=endpoint)


def test_a_prediction_is_a_span_with_its_stages_and_id_inside_the_clients_trace(
    home: Path, collector: Collector
) -> None:
    with TestClient(create_app(settings(home, collector.url))) as client:
        answer = client.post(
            "/v1/predict", files={"image": encode(picture())}, headers={**TRACEPARENT, "X-Request-Id": "abc-1"}
        )
        assert answer.status_code == 200
    (span,) = collector.spans()
    assert (span.name, span.trace, span.parent, span.failed) == ("POST /v1/predict", TRACE, PARENT, False)
    assert span.attributes["http.route"] == "/v1/predict"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["stn.request_id"] == "abc-1"
    assert all(0 < span.attributes[f"stn.{stage}_seconds"] < 60 for stage in metrics.STAGES)
    (resource,) = {
        item.value.string_value
        for request in collector.requests
        for spans in request.resource_spans
        for item in spans.resource.attributes
        if item.key == "service.name"
    }
    assert resource == "stn"


def test_every_route_but_probes_scrapes_and_files_has_a_span_named_by_its_template(
    home: Path, collector: Collector
) -> None:
    with TestClient(create_app(settings(home, collector.url)), raise_server_exceptions=False) as client:
        client.app.router.add_route("/breaks", lambda request: 1 / 0)  # type: ignore[attr-defined]
        for path in (
            *("/v2/health/live", "/v2/health/ready", "/metrics", "/static/app.js"),
            *("/v1/models/tiny", "/v1/models/other", "/breaks", "/made-up"),
        ):
            client.get(path)
    found = {(span.name, span.attributes["http.response.status_code"], span.failed) for span in collector.spans()}
    assert found == {
        ("GET /v1/models/{name}", 200, False),
        ("GET /v1/models/{name}", 404, False),
        ("GET /breaks", 500, True),
        ("GET", 404, False),
    }


def test_without_a_collector_nothing_is_traced(home: Path) -> None:
    app = create_app(Settings(home=home))
    assert not app._native_telemetry.enabled()
    assert tracing.RequestSpan not in [middleware.cls for middleware in app.user_middleware]
    with TestClient(app) as client:
        assert client.post("/v1/predict", files={"image": encode(picture())}).status_code == 200
    tracing.stage(None, "decode", 0.1)


def test_a_stage_that_ends_after_its_request_is_left_out(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    traces = tracing.start(collector.url)
    span = traces.provider.get_tracer("test").start_span("gone")
    span.end()
    tracing.stage(span, "infer", 0.25)
    traces.stop()
    assert [span.attributes for span in collector.spans()] == [{}]
    assert caplog.records == []


def test_bodies_and_what_is_wrong_with_them_are_not_sent(home: Path, collector: Collector) -> None:
    secret = "qZ7secret"
    with TestClient(create_app(settings(home, collector.url))) as client:
        client.post(
            "/v1/predict", content=json.dumps({"images": [secret]}), headers={"Content-Type": "application/json"}
        )
        client.post("/v1/predict", content=secret, headers={"Content-Type": "image/png", "Authorization": secret})
    assert len(collector.spans()) == 2
    assert secret not in str(collector.requests)


def test_a_collector_that_is_not_there_harms_no_request_and_holds_no_stop(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(create_app(settings(home, "http://127.0.0.1:9"))) as client:
        for _ in range(3):
            assert client.post("/v1/predict", files={"image": encode(picture())}).status_code == 200
        started = time.monotonic()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://collector:4317", "collector"])
def test_an_endpoint_that_is_no_address_is_named(home: Path, endpoint: str) -> None:
    with pytest.raises(ValueError, match=f"otel_endpoint must be the address of a collector.*'{endpoint}'"):
        create_app(settings(home, endpoint))


def test_stages_are_those_of_the_metrics(home: Path, collector: Collector) -> None:
    traces = tracing.start(collector.url)
    with traces.provider.get_tracer("test").start_as_current_span("all") as span:
        for stage in metrics.STAGES:
            tracing.stage(span, stage, 0.5)
    traces.stop()
    assert collector.spans()[0].attributes == {f"stn.{stage}_seconds": 0.5 for stage in metrics.STAGES}
