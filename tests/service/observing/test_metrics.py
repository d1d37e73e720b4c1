"""`GET /metrics` of a service that answered something."""

import asyncio
import threading

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from starlette.testclient import TestClient
from starlette.types import Message

from service.observing import metrics
from service.observing.metrics import REASONS, STAGES
from tests.service.conftest import encode, picture
from tests.service.exposition import Samples, read, value


def scrape(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return read(answer.text)


def post(client: TestClient, count: int = 1) -> None:
    files = [("image", encode(picture(seed=seed))) for seed in range(count)]
    assert client.post("/v1/predict", files=files).status_code == 200


def added(before: Samples, after: Samples, name: str, **labels: str) -> float:
    return value(after, name, **labels) - value(before, name, **labels)


def test_requests_are_counted_by_route_method_and_status(client: TestClient) -> None:
    before = scrape(client)
    for name in ("tiny", "tiny", "none", "other"):
        client.get(f"/v1/models/{name}")
    client.delete("/v1/models")
    after = scrape(client)
    assert added(before, after, "stn_requests_total", route="/v1/models/{name}", method="GET", status="200") == 2
    assert added(before, after, "stn_requests_total", route="/v1/models/{name}", method="GET", status="404") == 2
    assert added(before, after, "stn_requests_total", route="/v1/models", method="DELETE", status="405") == 1
    assert added(before, after, "stn_request_seconds_count", route="/v1/models/{name}") == 4
    assert added(before, after, "stn_request_seconds_bucket", route="/v1/models/{name}", le="+Inf") == 4


def test_nothing_that_a_client_makes_up_becomes_a_label(client: TestClient) -> None:
    client.get("/static/none.js")
    before = scrape(client)
    for path in ("/made-up", "/v1/nothing", "/static/made-up.js", "/v1/models/made-up", "/docs/made-up"):
        client.get(path)
        client.request("MADEUP", path)
        client.request("made-up", path)
    client.post("/v1/predict?model=made-up", content=b"", headers={"Content-Type": "image/made-up"})
    client.get("/v1/models", headers={"X-Request-Id": "made-up", "Host": "made-up"})
    after = scrape(client)
    assert not [labels for _, labels in after if "made-up" in str(labels).lower().replace("madeup", "made-up")]
    assert added(before, after, "stn_requests_total", route="unmatched", method="GET", status="404") == 3
    assert added(before, after, "stn_requests_total", route="unmatched", method="other", status="404") == 6
    assert added(before, after, "stn_requests_total", route="/static/{path}", method="GET", status="404") == 1
    changed = [key for key, count in after.items() if key[0] == "stn_requests_total" and count != before.get(key)]
    routes = {dict(labels)["route"] for _, labels in changed}
    folders = {"/static/{path}", "/static-offline-docs/{path}"}
    assert routes <= {"unmatched", *folders, *(getattr(route, "path", "") for route in _routes(client))}


def _routes(client: TestClient) -> list[object]:
    found: list[object] = []
    for route in client.app.routes:  # type: ignore[attr-defined]
        found += getattr(getattr(route, "original_router", None), "routes", [route])
    return found


def test_every_stage_of_a_prediction_is_timed_and_its_images_counted(client: TestClient) -> None:
    before = scrape(client)
    post(client)
    post(client, count=3)
    after = scrape(client)
    for stage in STAGES:
        assert added(before, after, "stn_stage_seconds_count", stage=stage) == 2, stage
        assert added(before, after, "stn_stage_seconds_sum", stage=stage) > 0
    assert added(before, after, "stn_images_total", model="tiny") == 4
    assert added(before, after, "stn_batch_images_sum", model="tiny") == 4
    assert added(before, after, "stn_batch_images_bucket", model="tiny", le="1.0") >= 1


def test_a_stage_and_a_reason_that_never_happened_are_zero(client: TestClient) -> None:
    samples = scrape(client)
    assert all(("stn_refused_total", frozenset({("reason", reason)})) in samples for reason in REASONS)
    assert all(("stn_stage_seconds_count", frozenset({("stage", stage)})) in samples for stage in STAGES)


def test_a_full_queue_is_counted_and_shown(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    served = client.app.state.models.find("tiny")  # type: ignore[attr-defined]
    before = scrape(client)
    monkeypatch.setattr(served.predictor, "max_waiting", 0)
    assert client.post("/v1/predict", files={"image": encode(picture())}).status_code == 429
    after = scrape(client)
    assert added(before, after, "stn_refused_total", reason="queue_full") == 1
    assert added(before, after, "stn_requests_total", route="/v1/predict", method="POST", status="429") == 1
    assert added(before, after, "stn_request_seconds_count", route="/v1/predict") == 0
    assert value(after, "stn_queue_images") == 0
    monkeypatch.setattr(served.predictor, "unanswered", 5)
    assert value(scrape(client), "stn_queue_images") == 5


def test_a_deadline_that_passed_is_counted(client: TestClient) -> None:
    before = scrape(client)
    headers = {"X-Request-Timeout": "0.000001"}
    assert client.post("/v1/predict", files={"image": encode(picture())}, headers=headers).status_code == 504
    after = scrape(client)
    assert added(before, after, "stn_refused_total", reason="deadline") == 1
    assert added(before, after, "stn_requests_total", route="/v1/predict", method="POST", status="504") == 1


def test_a_client_that_goes_away_while_it_sends_is_counted_under_a_status_of_its_own(client: TestClient) -> None:
    async def send(message: Message) -> None:
        raise AssertionError(f"nobody is there any more, but was sent {message}")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    before = scrape(client)
    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": [], "query_string": b""}
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    after = scrape(client)
    assert added(before, after, "stn_refused_total", reason="client_gone") == 1
    assert added(before, after, "stn_requests_total", route="/v1/predict", method="POST", status="499") == 1


def test_the_process_and_what_it_holds_are_shown(client: TestClient) -> None:
    first = scrape(client)
    assert value(first, "stn_models_loaded") == 1
    assert value(first, "stn_workers") == 1
    assert 2e7 < value(first, "process_resident_memory_bytes") < 2e10
    assert value(first, "process_open_fds") > 3
    sum(number * number for number in range(300_000))
    assert 0 < added(first, scrape(client), "process_cpu_seconds_total") < 30
    assert [labels for name, labels in first if name == "stn_build_info"]


def test_a_request_that_breaks_a_route_is_counted_as_500(client: TestClient) -> None:
    client.app.router.add_route("/breaks", lambda request: 1 / 0)  # type: ignore[attr-defined]
    before = scrape(client)
    with pytest.raises(ZeroDivisionError):
        client.get("/breaks")
    assert added(before, scrape(client), "stn_requests_total", route="/breaks", method="GET", status="500") == 1


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"]
)
def test_openmetrics_is_sent_where_it_is_asked_for(client: TestClient, accept: str) -> None:
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    names = {family.name for family in parse_openmetrics(answer.text)}
    assert {"stn_requests", "stn_stage_seconds", "stn_queue_images"} <= names


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=x", "application/json", "text/plain; version=9.9"])
def test_otherwise_it_is_prometheus_text(client: TestClient, accept: str) -> None:
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert read(answer.text)


def test_metrics_are_no_part_of_the_documented_api(client: TestClient) -> None:
    assert "/metrics" not in client.get("/openapi.json").json()["paths"]


def test_two_scrapes_at_once_count_processor_time_once() -> None:
    def collect() -> None:
        for _ in range(50):
            metrics.publish(0, 0)

    threads = [threading.Thread(target=collect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = metrics.REGISTRY.get_sample_value("process_cpu_seconds_total")
    assert spent is not None
    assert spent == pytest.approx(metrics.resources.processor_seconds(), rel=0.05)
