"""No path that comes from a request leaves its folder."""

import stat
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from service.models.folder import name_and_version
from service.routes.pages import STATIC
from stn import ModelFileError
from tests.service.conftest import encode, picture, serving, write_model

NAMES = [
    "..",
    ".",
    "../tiny",
    "../../secret",
    "tiny/../../secret",
    "/etc/passwd",
    "..\\secret",
    "C:\\secret",
    "tiny\0",
    "tiny\0.safetensors",
    "tiny\n",
    "tiny\r\nX-Injected: 1",
    "tiny.",
    "~",
    "$HOME",
    "a" * 60_000,
    "\N{FULLWIDTH FULL STOP}" * 2,
    "tiny\N{COMBINING ACUTE ACCENT}",
    "\ufffd",
    "CON",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service beside whose models lies one that is none of them."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny" / "1.safetensors")
    write_model(home / "secret" / "1.safetensors")
    with serving(home) as client:
        yield client


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:20]))
def test_a_name_of_a_model_is_looked_up_and_never_a_path(client: TestClient, name: str) -> None:
    png = {"Content-Type": "image/png"}
    answers = [
        client.post("/v1/predict", params={"model": name}, content=encode(picture()), headers=png),
        client.get(f"/v1/models/{quote(name, safe='').replace('.', '%2e')}"),
    ]
    for answer in answers:
        assert answer.status_code in (404, 422), answer.text[:200]
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 1000
        assert "x-injected" not in answer.headers


@pytest.mark.parametrize(
    "version", ["0", "-1", "1/../2", "1e3", "../1", "99999999999999999999", "1\0", "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_a_version_is_a_number(client: TestClient, version: str) -> None:
    answer = client.post(
        "/v1/predict", params={"version": version}, content=encode(picture()), headers={"Content-Type": "image/png"}
    )
    assert answer.status_code in (404, 422)


@pytest.mark.parametrize(
    "path",
    [
        "../app.py",
        "..%2fapp.py",
        "..%2f..%2fpyproject.toml",
        "%2e%2e/app.py",
        "..%5capp.py",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "app.js%00.html",
        "app.js/../../app.py",
        ".",
        "",
        "a" * 5000,
        "%ff",
    ],
)
@pytest.mark.parametrize("folder", ["/static/", "/static-offline-docs/"])
def test_only_the_files_of_the_page_are_given_out(client: TestClient, folder: str, path: str) -> None:
    answer = client.get(f"http://testserver{folder}{path}")
    assert answer.status_code in (404, 405), answer.text[:200]


def test_every_file_of_the_page_may_be_seen_by_everybody(client: TestClient) -> None:
    files = [file for file in STATIC.rglob("*") if file.is_file()]
    assert files and all(file.suffix in {".html", ".js", ".css", ".svg"} for file in files)
    assert all(stat.S_ISREG(file.lstat().st_mode) for file in files)  # no link leads out


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CON" and "/" not in name])
def test_a_folder_of_an_odd_name_is_not_served(name: str) -> None:
    with pytest.raises(ModelFileError, match="must lie at NAME/VERSION"):
        name_and_version(f"{name}/1.safetensors")
