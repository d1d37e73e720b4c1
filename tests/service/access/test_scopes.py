"""Which scope a request needs, however its path is written."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import compile_path
from starlette.testclient import TestClient

from service.access.scopes import ANY, is_odd, required_scope
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import bearer


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Method and path of every documented operation."""
    paths = create_app(Settings(home=tmp_path_factory.mktemp("home"))).openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


@pytest.fixture(scope="module")
def closed(operations: list[tuple[str, str]]) -> list[re.Pattern[str]]:
    """What the paths of operations that need a key match."""
    return [compile_path(path)[0] for _, path in operations if not path.startswith("/v2/health/")]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/", None),
        ("GET", "/static/app.js", None),
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
        ("GET", "/v2/health/live", None),
        ("HEAD", "/v2/health/ready", None),
        ("POST", "/v1/predict", "predict"),
        ("POST", "/v1/align", "predict"),
        ("POST", "/v2/models/tiny/infer", "predict"),
        ("POST", "/v2/models/tiny/versions/1/infer", "predict"),
        ("GET", "/v2", ANY),
        ("GET", "/v2/models/tiny", ANY),
        ("GET", "/v2/models/tiny/ready", ANY),
        ("GET", "/v1/models", ANY),
        ("GET", "/v1/models/tiny", ANY),
        ("HEAD", "/v1/models", ANY),
        ("POST", "/v1/models", "models"),
        ("PUT", "/v1/models/tiny/default", "models"),
        ("DELETE", "/v1/models/tiny/versions/1", "models"),
        ("DELETE", "/v1/models/", "models"),
        ("POST", "/v1/models/tiny/invariance", "jobs"),
        ("DELETE", "/v1/models/invariance", "models"),
        ("GET", "/v1/datasets/faces", ANY),
        ("POST", "/v1/datasets", "jobs"),
        ("DELETE", "/v1/datasets/faces", "jobs"),
        ("GET", "/v1/jobs/1/events", "jobs"),
        ("POST", "/v1/jobs", "jobs"),
        ("GET", "/v1/training/config", "jobs"),
        ("GET", "/metrics", "admin"),
        ("GET", "/nothing", ANY),
        ("POST", "/nothing", "admin"),
        ("POST", "/", "admin"),
        ("DELETE", "/static/app.js", "admin"),
        ("GET", "/V1/MODELS", ANY),
        ("DELETE", "/V1/models/tiny", "admin"),
        ("get", "/v1/models", "models"),  # no server sends it in small letters; then the stricter one
    ],
)
def test_every_path_and_method_has_its_scope(method: str, path: str, scope: str | None) -> None:
    assert required_scope(method, path) == scope


def test_an_operation_that_changes_something_is_in_the_table(operations: list[tuple[str, str]]) -> None:
    changing = [operation for operation in operations if operation[0] not in ("GET", "HEAD")]
    assert changing
    for operation in changing:
        assert required_scope(*operation) in ("predict", "jobs", "models"), operation


PIECES = [
    *("/v1/models", "/v1/predict", "/static", "/docs", "/v2/health/live", "/a"),
    *("/", "/..", "/.", "/%2e%2e", "%2f", "\\", ""),
]


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]))
def test_what_is_open_leads_to_no_route_that_needs_a_key(
    closed: list[re.Pattern[str]], pieces: list[str], method: str
) -> None:
    path = "".join(pieces)
    assert required_scope(method, path) is not None or not any(route.match(path) for route in closed)


@pytest.mark.parametrize(
    "path",
    [
        "//v1/models",
        "/v1//models",
        "/static//../v1/models",
        "/static/../v1/models",
        "/static/./app.js",
        "/static/..",
        "/static/%2e%2e/v1/models",
        "/static\\..\\v1",
        "/static/a\0b",
        "/static/a\nb",
        "/v2/health/live/../../models",
    ],
)
def test_an_odd_path_is_never_open(path: str) -> None:
    assert is_odd(path)
    for method in ("GET", "POST", "DELETE"):
        assert required_scope(method, path) == ANY  # and then it is answered 404, see below


@pytest.mark.parametrize(
    "path",
    [
        "//v1/models",
        "//v1/models/tiny",
        "/static/%2e%2e/v1/models",
        "/static/..%2fv1/models",
        "/static/%252e%252e/v1/models",
        "/%2e/v1/models",
        "/v1/%2e%2e/v1/models",
        "/static/../../service/app.py",
        "/static%2f..%2fv1%2fmodels",
        "/v2/health/live/%2e%2e/%2e%2e/models",
        "/v1/models%00",
        "/v1\\models",
    ],
)
def test_no_way_of_writing_a_path_passes_the_gate(locked: TestClient, keys: dict[str, str], path: str) -> None:
    """The client sends these as they are; without a key they are 401, with the strongest one nothing is there."""
    assert locked.get(f"http://testserver{path}").status_code == 401
    assert locked.delete(f"http://testserver{path}").status_code == 401
    answer = locked.get(f"http://testserver{path}", headers=bearer(keys["admin"]))
    assert answer.status_code == 404 and answer.json()["status"] == 404


def test_a_prefix_of_a_mount_changes_no_scope(locked_home: Path, keys: dict[str, str]) -> None:
    with TestClient(create_app(Settings(home=locked_home)), root_path="/v2/health") as client:
        assert client.get("/v2/health/v1/models").status_code == 401
        assert client.get("/v2/health/v1/models", headers=bearer(keys["predict"])).status_code == 200
        assert client.get("/v2/health/v2/health/live").status_code == 200
        assert client.delete("/v2/health/v1/models/tiny", headers=bearer(keys["predict"])).status_code == 403
