"""Who may do what: keys, their scopes and rates."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.access import key_ring
from service.access.auth import Gate
from service.access.keys import create_key, revoke_key
from service.app import create_app
from service.observing import logs
from service.problems import Problem
from service.settings import Settings
from tests.service.conftest import bearer, encode, picture, serving

PNG = {"Content-Type": "image/png"}


def test_with_keys_only_the_page_the_documentation_and_the_probes_are_open(locked: TestClient) -> None:
    for path in ("/", "/static/app.js", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
        assert locked.get(path).status_code == 200, path
    for path in ("/v1/models", "/v1/models/tiny", "/v1/jobs", "/metrics", "/nothing", "/v2", "/static", "/docs/"):
        assert locked.get(path, follow_redirects=False).status_code == 401, path


def test_without_a_key_the_answer_says_how_to_send_one(locked: TestClient) -> None:
    answer = locked.post("/v1/predict", content=encode(picture()), headers=PNG)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert "`Authorization: Bearer KEY` or `X-API-Key: KEY`" in problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_key_is_read_from_either_header(locked: TestClient, keys: dict[str, str]) -> None:
    key = keys["predict"]
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer   {key} "},
        {"X-API-Key": key},
        {"x-api-key": key, "Authorization": "Basic dXNlcjpwYXNz"},  # of a proxy in front
    ):
        assert locked.post("/v1/predict", content=encode(picture()), headers=PNG | headers).status_code == 200, headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer stn_wrong"},
        {"Authorization": "Bearer " + "x" * 20_000},
        {"X-API-Key": ""},
        {"X-API-Key": b"\xff\xfe"},
        {"Authorization": "Basic c3RuOng="},
        {"Cookie": "key=x"},
    ],
)
def test_what_is_no_key_is_401(locked: TestClient, headers: dict[str, Any]) -> None:
    answer = locked.get("/v1/models", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_key_in_the_address_is_none(locked: TestClient, keys: dict[str, str]) -> None:
    assert locked.get("/v1/models", params={"key": keys["admin"], "api_key": keys["admin"]}).status_code == 401


def test_no_part_of_a_key_or_its_hash_is_a_key(locked_home: Path, locked: TestClient, keys: dict[str, str]) -> None:
    hashes = [entry["sha256"] for entry in json.loads((locked_home / "keys.json").read_text())["keys"]]
    key = keys["admin"]
    for wrong in (*hashes, key[:-1], key + "A", key.swapcase(), key.removeprefix("stn_")):
        assert locked.get("/v1/models", headers=bearer(wrong)).status_code == 401


def test_a_missing_scope_is_named(locked: TestClient, keys: dict[str, str]) -> None:
    answer = locked.post("/v1/predict", content=encode(picture()), headers=PNG | bearer(keys["jobs"]))
    assert answer.status_code == 403
    assert "the key the-jobs must have the scope predict, it has jobs" in answer.json()["detail"]
    assert locked.delete("/v1/models/tiny", headers=bearer(keys["predict"])).status_code == 403
    assert locked.get("/metrics", headers=bearer(keys["predict"])).status_code == 403


def test_any_key_may_list_the_models_and_admin_may_do_everything(locked: TestClient, keys: dict[str, str]) -> None:
    for key in keys.values():
        assert locked.get("/v1/models", headers=bearer(key)).status_code == 200
    assert locked.post("/v1/predict", content=encode(picture()), headers=PNG | bearer(keys["admin"])).status_code == 200
    assert locked.get("/nothing", headers=bearer(keys["predict"])).status_code == 404


def test_an_expired_key_is_refused(locked_home: Path, locked: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    short = create_key(locked_home / "keys.json", "short", ("predict",), expires=1.0)
    locked.app.state.gate._ring._next_look = 0.0  # type: ignore[attr-defined]
    assert locked.get("/v1/models", headers=bearer(short)).status_code == 200
    later = time.time() + 86401
    monkeypatch.setattr("service.access.auth.time.time", lambda: later)
    answer = locked.get("/v1/models", headers=bearer(short))
    assert answer.status_code == 401 and "the key short has expired" in answer.json()["detail"]


def test_keys_made_and_revoked_while_the_service_runs_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "LOOK_SECONDS", 0.0)
    path = home / "keys.json"
    with serving(home) as client:
        client.app.state.gate._ring._next_look = 0.0  # type: ignore[attr-defined]
        assert client.get("/v1/models").status_code == 200
        key = create_key(path, "alice", ("predict",))
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers=bearer(key)).status_code == 200
        revoke_key(path, "alice")
        assert client.get("/v1/models", headers=bearer(key)).status_code == 401
        path.unlink()
        assert client.get("/v1/models").status_code == 401


def test_metrics_are_open_where_a_setting_says_so(locked_home: Path, keys: dict[str, str]) -> None:
    with serving(locked_home, open_metrics=True) as client:
        assert client.get("/metrics").status_code != 401
        assert client.get("/metrics/more").status_code == 401
        assert client.get("/v1/models").status_code == 401


def test_the_name_of_the_key_is_left_for_logs(locked_home: Path, keys: dict[str, str]) -> None:
    app = create_app(Settings(home=locked_home))
    names: list[str | None] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        names.append(logs.key_name.get())
        await inner(scope, receive, send)

    app.build_middleware_stack()
    with TestClient(app) as client:
        gate = app.middleware_stack
        while type(gate).__name__ != "GateMiddleware":
            gate = gate.app  # type: ignore[union-attr]
        inner, gate.app = gate.app, note  # type: ignore[union-attr]
        client.get("/v1/models", headers=bearer(keys["jobs"]))
        client.get("/v2/health/live")
    assert names == ["the-jobs", "anonymous"]


def test_past_its_rate_a_key_is_429_and_others_are_not(home: Path) -> None:
    path = home / "keys.json"
    slow = create_key(path, "slow", ("predict",), rate=0.5)
    other = create_key(path, "other", ("predict",))
    with serving(home) as client:
        assert client.get("/v1/models", headers=bearer(slow)).status_code == 200
        answer = client.get("/v1/models", headers=bearer(slow))
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "2"
        assert "slow may send 0.5 requests per second" in answer.json()["detail"]
        assert all(client.get("/v1/models", headers=bearer(other)).status_code == 200 for _ in range(20))


def test_the_rate_of_the_settings_is_for_keys_without_their_own(home: Path) -> None:
    path = home / "keys.json"
    fast = create_key(path, "fast", ("predict",), rate=1000.0)
    plain = create_key(path, "plain", ("predict",))
    with serving(home, rate_limit=1.0) as client:
        statuses = [client.get("/v1/models", headers=bearer(plain)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]  # a burst of two seconds' worth
        assert all(client.get("/v1/models", headers=bearer(fast)).status_code == 200 for _ in range(20))


def test_without_keys_each_address_has_the_rate(home: Path) -> None:
    gate = Gate(Settings(home=home, rate_limit=1.0))

    def ask(client: str) -> int:
        try:
            gate.admit("GET", "/v1/models", {}, client)
        except Problem as problem:
            return problem.status
        return 200

    assert [ask("127.0.0.1") for _ in range(3)] == [200, 200, 429]
    assert ask("127.0.0.2") == 200
    assert [ask(f"2001:db8::{n}") for n in range(3)] == [200, 200, 429]  # one network of version 6
    assert ask("2001:db8:0:1::") == 200
    assert [ask(f"::ffff:10.0.0.{n}") for n in range(3)] == [200, 200, 200]  # version 4 in version 6
    assert ask("not an address: at all") == 200
    gate.admit("GET", "/v2/health/live", {}, "127.0.0.1")  # what is open is not counted
