"""What every answer tells a browser, and what the OpenAPI document tells of keys."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.access import key_ring
from service.access.keys import create_key
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import serving, write_model


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service without keys, on loopback."""
    home = tmp_path_factory.mktemp("open")
    write_model(home / "models" / "tiny" / "1.safetensors")
    with serving(home) as client:
        yield client


def test_every_answer_has_the_security_headers(client: TestClient, locked: TestClient) -> None:
    answers = {
        200: client.get("/v1/models"),
        401: locked.get("/v1/models"),
        403: client.get("/", headers={"Host": "evil.example"}),
        404: client.get("/v1/models/nope"),
        405: client.delete("/v1/predict"),
        422: client.post("/v1/predict", content=b"{}", headers={"Content-Type": "application/json"}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_an_answer_to_a_bug_has_them_too(home: Path) -> None:
    app = create_app(Settings(home=home))
    app.add_api_route("/bug", lambda: 1 / 0)
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/bug")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("content-security-policy")[0].startswith("default-src 'none'")


def test_pages_keep_their_own_policy(client: TestClient) -> None:
    for path in ("/", "/static/app.js"):
        (policy,) = client.get(path).headers.get_list("content-security-policy")
        assert "script-src 'self'" in policy and "unsafe" not in policy
        assert client.get(path).headers.get_list("cache-control") == ["no-cache"]


def test_the_documentation_needs_nothing_that_its_policy_forbids(client: TestClient) -> None:
    page = client.get("/docs")
    (policy,) = page.headers.get_list("content-security-policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and "unsafe-inline" not in rules["script-src"]
    scripts = re.findall(r"<script>", page.text)
    assert len(scripts) == len(re.findall(r"'sha256-[^']+'", rules["script-src"])) == 1
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 3 and all(address.startswith("/") for address in addresses)
    assert [client.get(address).status_code for address in addresses] == [200, 200, 200]
    assert "url: '/openapi.json'" in page.text


def test_the_document_declares_keys_and_what_is_answered_without(locked: TestClient) -> None:
    document = locked.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    predict = document["paths"]["/v1/predict"]["post"]
    assert predict["security"] == [{"bearer": []}, {"header": []}]
    assert {"401", "403", "429"} <= set(predict["responses"])
    assert "application/problem+json" in predict["responses"]["401"]["content"]
    assert "Needs a key with the scope `predict`" in predict["description"]
    live = document["paths"]["/v2/health/live"]["get"]
    assert live["security"] == [] and "401" not in live["responses"]


def test_without_keys_the_document_says_that_none_is_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "LOOK_SECONDS", 0.0)
    with serving(home) as client:
        client.app.state.gate._ring._next_look = 0.0  # type: ignore[attr-defined]
        security = [{}, {"bearer": []}, {"header": []}]
        assert client.get("/openapi.json").json()["paths"]["/v1/models"]["get"]["security"] == security
        create_key(home / "keys.json", "alice", ("predict",))
        assert client.get("/openapi.json").json()["paths"]["/v1/models"]["get"]["security"] == security[1:]
