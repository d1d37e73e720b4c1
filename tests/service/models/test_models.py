import hashlib
import pickle
import re
from datetime import datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.models.folder import register
from service.settings import Settings
from stn import ModelFileError
from tests.service.conftest import CLASSES, encode, picture, write_model


def test_the_models_are_listed_with_what_one_needs_to_know(client: TestClient, home: Path) -> None:
    answer = client.get("/v1/models").json()
    assert answer["default_model"] == "tiny"
    (model,) = answer["models"]
    (version,) = model["versions"]
    assert (version["height"], version["width"], version["channels"]) == (20, 16, 1)
    assert version["class_names"] == list(CLASSES)
    assert version["transform"] == "affine"
    assert version["parameter_names"] == ["xx", "xy", "x0", "yx", "yy", "y0"]
    assert version["identity"] == [1, 0, 0, 0, 1, 0]
    assert (version["output_height"], version["output_width"]) == (12, 14)
    assert (version["model"], version["state"], version["default"], version["reason"]) == ("tiny", "loaded", True, None)
    assert (model["default_version"], model["pinned_version"]) == (1, None)
    path = home / "models/tiny/1.safetensors"
    assert version["bytes"] == path.stat().st_size
    assert version["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert list(version["runtimes"].values()) == ["eager"] * 3
    assert datetime.fromisoformat(version["registered"]).timestamp() == pytest.approx(path.stat().st_mtime, abs=1e-3)
    assert version["provenance"]["seed"] == "0"
    assert client.get("/v1/models/tiny").json() == model
    assert client.get("/v1/models/tiny/versions/1").json() == version


def test_an_unknown_model_is_404(client: TestClient) -> None:
    answer = client.get("/v1/models/nope")
    assert answer.status_code == 404
    assert "model must be one of tiny, got 'nope'" in answer.json()["detail"]


def test_files_that_cannot_be_read_are_refused_with_the_reason_and_the_others_are_served(home: Path) -> None:
    good = (home / "models/tiny/1.safetensors").read_bytes()
    for name, data in {
        "half/1.safetensors": good[: len(good) // 2],
        "pickle/1.safetensors": pickle.dumps({"a": 1}),
        "other/1.safetensors": good.replace(b'"stn.version":"3"', b'"stn.version":"9"'),
        "loose.safetensors": good,
        "odd/one.safetensors": good,
    }.items():
        path = home / "models" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    with TestClient(create_app(Settings(home=home))) as client:
        refused = {entry["file"]: entry["reason"] for entry in client.get("/v1/models").json()["refused"]}
        answer = client.post("/v1/predict", content=encode(picture()), headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    assert "not a complete safetensors file" in refused["half/1.safetensors"]
    assert "can run code" in refused["pickle/1.safetensors"]
    assert refused["other/1.safetensors"] == "format version must be 3, got 9"
    assert "must lie at NAME/VERSION.safetensors" in refused["loose.safetensors"]
    assert "must lie at NAME/VERSION.safetensors" in refused["odd/one.safetensors"]
    assert len(refused) == 5


def test_without_a_model_the_answer_says_how_to_get_one(tmp_path: Path) -> None:
    with TestClient(create_app(Settings(home=tmp_path))) as client:
        answer = client.post("/v1/predict", content=b"x", headers={"Content-Type": "image/png"})
        assert answer.status_code == 404
        assert "`stn up`" in answer.json()["detail"]
        assert client.get("/v1/models").json() == {"default_model": None, "models": [], "refused": []}


def test_a_new_model_does_not_become_the_default(home: Path) -> None:
    write_model(home / "models/another/1.safetensors")
    with TestClient(create_app(Settings(home=home))) as client:
        assert client.get("/v1/models").json()["default_model"] == "tiny"
    with TestClient(create_app(Settings(home=home, default_model="another"))) as client:
        assert client.get("/v1/models").json()["default_model"] == "another"


def test_registering_gives_the_next_version(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "new.safetensors"
    write_model(source)
    assert register(home / "models", "tiny", source) == 2
    assert register(home / "models", "fresh", source) == 1
    assert (home / "models/tiny/2.safetensors").read_bytes() == source.read_bytes()
    assert sorted(path.name for path in (home / "models/tiny").iterdir()) == ["1.safetensors", "2.safetensors"]


def test_what_is_no_model_file_is_not_registered(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "new.safetensors"
    source.write_bytes(b"nonsense")
    with pytest.raises(ModelFileError):
        register(home / "models", "tiny", source)
    assert [path.name for path in (home / "models/tiny").iterdir()] == ["1.safetensors"]


def test_the_probes_answer(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


def test_the_interactive_documentation_is_there_and_the_schema_names_every_route(client: TestClient) -> None:
    docs = client.get("/docs")
    assert docs.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', docs.text)
    assert len(addresses) == 3  # script, style, icon: all from here, so that the page works without a network
    assert all(client.get(address).status_code == 200 for address in addresses)
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) >= {"/v1/predict", "/v1/models", "/v1/models/{name}", "/v2/health/live", "/v2/health/ready"}
    assert set(paths["/v1/predict"]["post"]["responses"]) >= {"200", "400", "404", "413", "415", "422", "429"}


def test_a_model_of_other_channels_than_grey_or_rgb_is_refused(home: Path) -> None:
    write_model(home / "models/many/1.safetensors", channels=5)
    (home / "models/gone").mkdir()
    (home / "models/gone/1.safetensors").symlink_to(home / "nowhere")
    with TestClient(create_app(Settings(home=home))) as client:
        refused = {entry["file"]: entry["reason"] for entry in client.get("/v1/models").json()["refused"]}
    assert "only grey and RGB pictures can be posted, not 5 channels" in refused["many/1.safetensors"]
    assert "gone/1.safetensors" in refused


@pytest.mark.parametrize("path", ["/v1/models/a b", "/v1/models/tiny.x", f"/v1/models/{'a' * 65}"])
def test_a_name_that_no_model_can_have_is_422_with_the_rule(client: TestClient, path: str) -> None:
    for answer in (client.get(path), client.delete(path), client.put(f"{path}/default", json={"version": 1})):
        assert answer.status_code == 422
        assert "[A-Za-z0-9_-]{1,64}" in answer.json()["detail"]


@pytest.mark.parametrize("version", [True, "1", 1.5, 0, [1]])
def test_a_default_version_is_a_number(client: TestClient, version: object) -> None:
    answer = client.put("/v1/models/tiny/default", json={"version": version})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body.version: ")
    assert client.put("/v1/models/tiny/default", json={"version": 1.0}).json()["default_version"] == 1


def test_every_answer_of_the_model_routes_is_documented_with_its_kind_and_an_example(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, verbs in paths.items():
        for verb, operation in verbs.items() if path.startswith("/v1/models") else ():
            for status, answer in operation["responses"].items():
                kinds = answer.get("content", {})
                expected = {"application/json"} if status in ("200", "201", "202") else {"application/problem+json"}
                assert set(kinds) == (set() if status == "204" else expected), (verb, path, status)
                if status >= "400" and status not in ("401", "403", "429"):  # these are said of every route at once
                    assert kinds["application/problem+json"]["example"]["status"] == int(status)
