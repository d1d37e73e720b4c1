"""Who is let in without keys: this machine alone, and of its browsers only pages of the service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.access.auth import Gate
from service.access.keys import create_key
from service.app import create_app
from service.commands.cli import main
from service.settings import Settings
from tests.service.conftest import bearer, encode, picture, serving, write_model

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service without keys, on loopback."""
    home = tmp_path_factory.mktemp("open")
    write_model(home / "models" / "tiny" / "1.safetensors")
    with serving(home) as client:
        yield client


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "localhost.example.org"])
def test_others_are_not_let_in_without_keys(
    home: Path, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_HOME", str(home))
    assert main(["serve", "--host", host]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"host must be a loopback address such as 127.0.0.1 while there are no keys, got {host!r}" in line
    assert "`stn keys create NAME --scopes predict`" in line
    assert "--allow-anonymous (STN_ALLOW_ANONYMOUS=true)" in line


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "127.0.0.2"},
        {"host": "0.0.0.0", "allow_anonymous": True},
        {"host": "0.0.0.0", "publish": "127.0.0.1:8000"},
        {"host": "0.0.0.0", "publish": "[::1]:8000"},
    ],
)
def test_this_machine_alone_and_everybody_who_is_allowed_need_no_key(home: Path, settings: dict[str, Any]) -> None:
    assert not Gate(Settings(home=home, **settings)).asks_for_keys


@pytest.mark.parametrize("publish", ["0.0.0.0:8000", "8000", ":8000", "[::]:8000", "192.168.1.5:8000"])
def test_a_container_that_is_published_further_needs_keys(home: Path, publish: str) -> None:
    with pytest.raises(ValueError, match="publish must be a loopback address"):
        Gate(Settings(home=home, host="0.0.0.0", publish=publish))
    create_key(home / "keys.json", "alice", ("predict",))
    assert Gate(Settings(home=home, host="0.0.0.0", publish=publish)).asks_for_keys


def test_keys_are_asked_for_wherever_there_are_some(locked_home: Path, keys: dict[str, str]) -> None:
    for settings in ({}, {"host": "0.0.0.0"}, {"host": "0.0.0.0", "allow_anonymous": True}):
        assert Gate(Settings(home=locked_home, **settings)).asks_for_keys  # type: ignore[arg-type]


def test_a_damaged_file_of_keys_does_not_start_the_service(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_HOME", str(home))
    (home / "keys.json").write_text("{")
    assert main(["serve", "--port", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: the keys file cannot be read")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver:81"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": ""},
    ],
)
def test_a_page_of_another_site_can_change_nothing(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/v1/predict", content=encode(picture()), headers=PNG | headers)
    assert answer.status_code == 403
    assert "a page of another site may not send this request" in answer.json()["detail"]
    assert client.delete("/v1/models/tiny", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},  # curl
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://a-proxy-that-changes-host.example"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://testserver"},
    ],
)
def test_the_page_of_the_service_and_other_programs_can(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/v1/predict", content=encode(picture()), headers=PNG | headers).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "::2",
        "a" * 9999,
    ],
)
def test_a_foreign_name_that_leads_here_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/v1/models", "/docs", "/static/app.js"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403, path
    assert "the host must be localhost, 127.0.0.1 or one of STN_ALLOWED_HOSTS" in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 200
    assert client.get("/v2/health/ready", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST:8000",
        "localhost.:1",
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.8.8.8:1",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_the_names_of_this_machine_are_known(client: TestClient, host: str) -> None:
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_other_names_are_known_where_a_setting_says_so(home: Path) -> None:
    settings = Settings(home=home, allowed_hosts="stn, Pictures.example")  # type: ignore[arg-type]
    with TestClient(create_app(settings), base_url="http://stn:8000") as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models", headers={"Host": "pictures.example:443"}).status_code == 200
        assert client.get("/v1/models", headers={"Host": "testserver"}).status_code == 403


def test_everybody_may_come_by_any_name_until_names_are_given(home: Path) -> None:
    anywhere = {"home": home, "host": "0.0.0.0", "allow_anonymous": True}
    with serving(**anywhere, allowed_hosts=()) as client:  # type: ignore[arg-type]
        assert client.get("/v1/models", headers={"Host": "pictures.example"}).status_code == 200
        cross = {"Host": "pictures.example", "Origin": "http://evil.example"}
        assert client.post("/v1/predict", headers=cross).status_code == 403
    with serving(**anywhere, allowed_hosts=("pictures.example",)) as client:  # type: ignore[arg-type]
        assert client.get("/v1/models", headers={"Host": "pictures.example"}).status_code == 200
        assert client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403


def test_with_keys_a_page_has_none_and_names_do_not_matter(locked: TestClient, keys: dict[str, str]) -> None:
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "Host": "evil.example"}
    assert locked.post("/v1/predict", content=encode(picture()), headers=PNG | cross).status_code == 401
    assert (
        locked.post("/v1/predict", content=encode(picture()), headers=PNG | cross | bearer(keys["predict"])).status_code
        == 200
    )


def test_no_other_site_is_allowed_to_read_an_answer(client: TestClient) -> None:
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (client.options("/v1/predict", headers=preflight), client.get("/v1/models", headers=preflight)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
