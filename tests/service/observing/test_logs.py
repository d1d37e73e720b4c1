"""What the service writes in its log, and what it never does."""

import contextvars
import io
import json
import logging
import os
import signal
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from service.observing import logs
from tests.service.conftest import encode, picture

ROOT = Path(__file__).parents[3]

Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def restored() -> Iterator[None]:
    """What is logged goes where `set_up` says; afterwards all is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("service", "uvicorn", "service.requests")}
    root.handlers.clear()
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def log(restored: None) -> Log:
    """The new lines of a log in JSON, in which every request has one."""
    logs.set_up("json", True)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)

    def new_lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in handler.setStream(io.StringIO()).getvalue().splitlines()]

    handler.setStream(io.StringIO())
    return new_lines


def test_a_request_has_a_line_with_all_that_is_known_of_it(client: TestClient, log: Log) -> None:
    answer = client.post("/v1/predict", files={"image": encode(picture())}, headers={"X-Request-Id": "abc-1"})
    assert answer.status_code == 200
    (line,) = [line for line in log() if line["logger"] == "service.requests"]
    assert line["message"].startswith("POST /v1/predict 200 in ")
    assert {name: line[name] for name in ("level", "request_id", "method", "route", "status", "model")} == {
        "level": "info",
        "request_id": "abc-1",
        "method": "POST",
        "route": "/v1/predict",
        "status": 200,
        "model": "tiny",
    }
    assert 0 < line["milliseconds"] < 60_000
    assert line["time"].endswith("+00:00")


def test_the_name_of_a_key_is_in_the_line(log: Log) -> None:
    contextvars.copy_context().run(_request_with_a_key)
    (line,) = log()
    assert line["key"] == "camera 3"
    assert "model" not in line


def _request_with_a_key() -> None:
    logs.key_name.set("camera 3")
    logs.request("GET", "/v1/models", 200, 0.002)


def test_every_line_inside_a_request_has_its_id_also_from_a_thread(client: TestClient, log: Log) -> None:
    def in_a_thread(request: Request) -> PlainTextResponse:
        logging.getLogger("service.anything").info("inside")
        return PlainTextResponse("done")

    client.app.router.add_route("/inside", in_a_thread)  # type: ignore[attr-defined]
    client.get("/inside", headers={"X-Request-Id": "abc-2"})
    client.get("/v1/models", headers={"X-Request-Id": "abc-3"})
    logging.getLogger("service.anything").info("outside")
    inside, first, second, outside = log()
    assert (inside["message"], inside["request_id"]) == ("inside", "abc-2")
    assert (first["request_id"], second["request_id"]) == ("abc-2", "abc-3")
    assert "request_id" not in outside


def test_requests_have_no_line_unless_asked_for_but_a_500_always_has(
    client: TestClient, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("json", False)
    client.app.router.add_route("/breaks", lambda request: 1 / 0)  # type: ignore[attr-defined]
    client.get("/v1/models")
    client.get("/nothing")
    assert capsys.readouterr().err == ""
    with pytest.raises(ZeroDivisionError):
        client.get("/breaks", headers={"X-Request-Id": "abc-4"})
    request, error = map(json.loads, capsys.readouterr().err.splitlines())
    assert (request["status"], request["level"], request["request_id"]) == (500, "error", "abc-4")
    assert (error["logger"], error["request_id"]) == ("service.app", "abc-4")
    assert error["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"


SECRET = "qZ7secret"


def test_neither_a_body_nor_a_header_nor_a_query_is_in_the_log(client: TestClient, log: Log) -> None:
    logging.getLogger("service").setLevel(logging.DEBUG)
    headers = {"Authorization": f"Bearer {SECRET}", "X-API-Key": SECRET, "Cookie": f"session={SECRET}"}
    for kind, body in {
        "image/png": b"\x89PNG\r\n\x1a\n" + SECRET.encode(),
        "image/jpeg": SECRET.encode(),
        "application/json": json.dumps({"images": [SECRET], SECRET: SECRET}).encode(),
        f"text/{SECRET}": SECRET.encode(),
        "multipart/form-data; boundary=x": f'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n{SECRET}'.encode(),
    }.items():
        answer = client.post(f"/v1/predict?key={SECRET}", content=body, headers={**headers, "Content-Type": kind})
        assert 400 <= answer.status_code < 500
    client.post(f"/v1/predict?version={SECRET}", content=b"x", headers=headers)
    client.get(f"/{SECRET}", headers={"X-Request-Id": f"not an id {SECRET}"})
    lines = log()
    assert len(lines) >= 7
    assert SECRET not in json.dumps(lines)


def test_text_and_warnings_of_any_kind_are_one_object_a_line(log: Log) -> None:
    logging.getLogger("uvicorn.error").info("two\nlines, \N{SNOWMAN}, \x00")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    first, second = log()
    assert first["message"] == "two\nlines, \N{SNOWMAN}, \x00"
    assert (second["logger"], second["level"]) == ("py.warnings", "warning")


def test_text_is_the_message_alone(restored: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", True)
    logging.getLogger("service.app").info("serving model %s", "tiny")
    logs.request("GET", "/v1/models", 200, 0.00123)
    assert capsys.readouterr().err == "serving model tiny\nGET /v1/models 200 in 1.2 ms, request None\n"


def test_a_served_log_in_json_is_json_from_the_first_line_to_the_last(home: Path) -> None:
    environment = {**os.environ, "STN_HOME": str(home), "STN_LOG_FORMAT": "json", "STN_LOG_REQUESTS": "true"}
    command = [sys.executable, "-m", "service.commands.cli", "serve", "--port", "0"]
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(json.loads(line))
            if "running on" in lines[-1]["message"]:
                url = lines[-1]["message"].partition("running on ")[2].split()[0]
            if lines[-1]["message"].startswith("ready:"):
                urllib.request.urlopen(f"{url}/v2/health/ready", timeout=10).close()
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert "serving model tiny, version 1" in [line["message"] for line in lines]
    assert "/v2/health/ready" in [line.get("route") for line in lines]
