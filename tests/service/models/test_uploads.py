"""Model files that are posted: checked before they replace anything, whole or not at all."""

import asyncio
import errno
import os
import pickle
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import encode, picture, write_model
from tests.service.models.test_store import write_not_finite

RAW = {"Content-Type": "application/octet-stream"}
PNG = {"Content-Type": "image/png"}


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """Another model than the one that is served."""
    write_model(tmp_path / "one.safetensors", seed=1)
    return (tmp_path / "one.safetensors").read_bytes()


def upload(client: TestClient, body: object, name: str = "tiny", **headers: str) -> httpx2.Response:
    return client.post(f"/v1/models?name={name}", content=body, headers={**RAW, **headers})


def version(client: TestClient) -> int:
    answer = client.post("/v1/predict", content=encode(picture()), headers=PNG)
    assert answer.status_code == 200, answer.text
    return answer.json()["version"]


def files(home: Path) -> list[str]:
    """All that lies in the models folder, hidden or not."""
    models = home / "models"
    return sorted(str(path.relative_to(models)) for path in models.rglob("*") if path.is_file())


def test_an_uploaded_file_is_the_next_version_and_answers_at_once(client: TestClient, home: Path, data: bytes) -> None:
    answer = upload(client, data)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/v1/models/tiny/versions/2"
    described = answer.json()
    assert (described["model"], described["version"], described["state"]) == ("tiny", 2, "loaded")
    assert (described["default"], described["bytes"]) == (True, len(data))
    assert client.get(answer.headers["location"]).json()["sha256"] == described["sha256"]
    assert version(client) == 2
    assert (home / "models/tiny/2.safetensors").read_bytes() == data
    assert (home / "models/tiny/2.safetensors").stat().st_mode & 0o777 == 0o644
    assert files(home) == ["tiny/1.safetensors", "tiny/2.safetensors"]


def test_the_same_bytes_again_are_the_same_version(client: TestClient, home: Path, data: bytes) -> None:
    first = (home / "models/tiny/1.safetensors").read_bytes()
    assert upload(client, data).status_code == 201
    for body, number in ((data, 2), (first, 1)):
        answer = upload(client, body)
        assert (answer.status_code, answer.json()["version"]) == (200, number)
        assert answer.headers["location"] == f"/v1/models/tiny/versions/{number}"
    assert upload(client, data, "other").status_code == 201
    assert files(home) == ["other/1.safetensors", "tiny/1.safetensors", "tiny/2.safetensors"]


def test_a_form_with_one_file_is_taken_too(client: TestClient, home: Path, data: bytes) -> None:
    answer = client.post("/v1/models?name=tiny", files={"file": ("m.safetensors", data)})
    assert answer.status_code == 201, answer.text
    assert (home / "models/tiny/2.safetensors").read_bytes() == data


def test_uploads_at_the_same_time_become_one_version_each_and_the_same_bytes_one_alone(
    client: TestClient, home: Path, data: bytes, tmp_path: Path
) -> None:
    write_model(tmp_path / "two.safetensors", seed=2)
    bodies = [data, (tmp_path / "two.safetensors").read_bytes()]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda body: upload(client, body), bodies * 3))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201] * 2
    assert {answer.json()["version"] for answer in answers} == {2, 3}
    assert {(home / f"models/tiny/{number}.safetensors").read_bytes() for number in (2, 3)} == set(bodies)
    assert files(home) == ["tiny/1.safetensors", "tiny/2.safetensors", "tiny/3.safetensors"]


def test_a_chosen_default_version_goes_on_answering(client: TestClient, data: bytes) -> None:
    assert client.put("/v1/models/tiny/default", json={"version": 1}).status_code == 200
    assert upload(client, data).json()["default"] is False
    assert version(client) == 1


def test_the_number_of_a_deleted_version_is_not_given_again(client: TestClient, data: bytes) -> None:
    assert upload(client, data).json()["version"] == 2
    assert client.delete("/v1/models/tiny/versions/2").status_code == 204
    assert upload(client, data).json()["version"] == 3


def _pickle(good: Path, bad: Path) -> None:
    bad.write_bytes(pickle.dumps({"weight": 1}))


def _zip(good: Path, bad: Path) -> None:
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("data.pkl", b"x" * 100)


def _truncated(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_bytes()[:-1])


def _nonsense(good: Path, bad: Path) -> None:
    bad.write_bytes(os.urandom(1000))


def _other_version(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_bytes().replace(b'"stn.version":"3"', b'"stn.version":"9"'))


def _channels(good: Path, bad: Path) -> None:
    write_model(bad, channels=5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_pickle, "this is a pickle (a torch checkpoint?), which can run code; only safetensors is read"),
        (_zip, "this is a pickle (a torch checkpoint?), which can run code; only safetensors is read"),
        (_truncated, "not a complete safetensors file"),
        (_nonsense, "not a complete safetensors file"),
        (_other_version, "format version must be 3, got 9"),
        (_channels, "only grey and RGB pictures can be posted, not 5 channels"),
        (write_not_finite, "classes.0.bias holds numbers that are not finite"),
    ],
)
def test_what_is_no_sound_model_file_is_refused_with_the_reason_and_leaves_nothing(
    client: TestClient, home: Path, tmp_path: Path, make: Callable[[Path, Path], None], reason: str
) -> None:
    make(home / "models/tiny/1.safetensors", tmp_path / "bad")
    answer = upload(client, (tmp_path / "bad").read_bytes(), "new")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("the model file is refused: ")
    assert reason in answer.json()["detail"]
    assert str(home) not in answer.text
    assert files(home) == ["tiny/1.safetensors"]
    assert not (home / "models/new").exists()
    assert version(client) == 1


def pieces(body: bytes) -> Iterator[bytes]:
    """Sent without a declared length."""
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.mark.parametrize("send", ["declared", "streamed", "form"])
def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(home: Path, data: bytes, send: str) -> None:
    with TestClient(create_app(Settings(home=home, max_model_bytes=len(data) - 1, max_body_bytes=1000))) as client:
        if send == "form":
            answer = client.post("/v1/models?name=tiny", files={"file": ("m", data)})
        else:
            answer = upload(client, data if send == "declared" else pieces(data))
        assert answer.status_code == 413
        assert f"the model file must have at most {len(data) - 1:,} bytes" in answer.json()["detail"]
        assert files(home) == ["tiny/1.safetensors"]
        far_too_large = upload(client, pieces(data * 10)) if send == "streamed" else upload(client, data * 10)
        assert far_too_large.status_code == 413


def test_a_model_file_may_be_larger_than_other_bodies(home: Path, data: bytes) -> None:
    with TestClient(create_app(Settings(home=home, max_model_bytes=len(data), max_body_bytes=1000))) as client:
        assert upload(client, pieces(data)).status_code == 201
        answer = client.put(
            "/v1/models/tiny/default", content=b" " * 2000, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert "at most 1,000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "arguments", "status", "message"),
    [
        ("?name=tiny", {"content": b"", "headers": RAW}, 400, "the model file is empty"),
        ("?name=tiny", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "got 'text/plain'"),
        ("?name=tiny", {"content": b"x"}, 415, "got 'none'"),
        ("?name=tiny", {"files": [("file", ("a", b"x")), ("file", ("b", b"x"))]}, 400, "one file, got more parts"),
        (
            "?name=tiny",
            {"content": b"--b\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            400,
            "the form is not complete",
        ),
        (
            "?name=tiny",
            {"content": b"nonsense", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            400,
            "not the multipart form",
        ),
        (
            "?name=tiny",
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            415,
            "multipart/form-data",
        ),
        ("?name=../x", {"content": b"x", "headers": RAW}, 422, "[A-Za-z0-9_-]{1,64}"),
        ("?name=.x", {"content": b"x", "headers": RAW}, 422, "[A-Za-z0-9_-]{1,64}"),
        ("", {"content": b"x", "headers": RAW}, 422, "query.name"),
    ],
)
def test_a_wrong_request_is_a_problem_that_says_what_to_mend(
    client: TestClient, home: Path, query: str, arguments: dict, status: int, message: str
) -> None:
    answer = client.post(f"/v1/models{query}", **arguments)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert message in answer.json()["detail"]
    assert files(home) == ["tiny/1.safetensors"]


def test_a_client_that_goes_away_leaves_nothing(home: Path, data: bytes) -> None:
    app = create_app(Settings(home=home))
    messages = [{"type": "http.request", "body": data[:1000], "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/models",
        "raw_path": b"/v1/models",
        "root_path": "",
        "query_string": b"name=tiny",
        "headers": [(b"content-type", b"application/octet-stream")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "app": app,
    }

    async def receive() -> dict:
        return messages.pop(0)

    async def send(_: object) -> None:
        """Nobody reads it."""

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)
            assert files(home) == ["tiny/1.safetensors"]

    asyncio.run(run())


def test_a_full_disk_is_507_and_leaves_nothing(
    client: TestClient, home: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = upload(client, data)
    assert (answer.status_code, answer.json()["detail"]) == (507, "the disk of the models folder is full")
    assert files(home) == ["tiny/1.safetensors"]


def test_what_a_killed_process_left_on_its_way_is_deleted_a_day_later(home: Path) -> None:
    old, new = home / "models/.upload.old", home / "models/.upload.new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    with TestClient(create_app(Settings(home=home))) as client:
        assert version(client) == 1
    assert files(home) == [".upload.new", "tiny/1.safetensors"]
