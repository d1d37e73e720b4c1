"""Data sets over HTTP: there as a whole or not at all, whatever happens on the way."""

import asyncio
import errno
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.datasets.store import UPLOAD, DatasetStore
from service.settings import Settings
from tests.service.conftest import bearer, serving
from tests.service.datasets.test_arrays import IMAGES, LABELS, npz
from tests.service.datasets.test_zip_attacks import bomb
from tests.service.datasets.zips import PICTURES, good, link, zipped
from training.hidden import new_place
from training.jobs.store import JobStore

ZIP = {"Content-Type": "application/zip"}
RAW = {"Content-Type": "application/octet-stream"}


def upload(client: TestClient, body: object, name: str = "photos", **headers: str) -> httpx2.Response:
    return client.post(f"/v1/datasets?name={name}", content=body, headers={**ZIP, **headers})


def entries(home: Path) -> list[str]:
    """What lies in the folder of data sets, hidden or not."""
    folder = home / "datasets"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_an_upload_is_there_with_its_report_and_its_contact_sheet(client: TestClient, home: Path) -> None:
    answer = upload(client, zipped({**good(4), "cat/bad.png": b"x"}))
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/v1/datasets/photos"
    report = answer.json()
    assert (report["name"], report["kind"], report["images"]) == ("photos", "folder", 8)
    assert (report["classes"], report["refused_count"]) == ({"cat": 4, "dog": 4}, 1)
    assert report["refused"][0]["file"] == "cat/bad.png"
    assert client.get(answer.headers["location"]).json() == report
    listed = client.get("/v1/datasets").json()
    fields = {name: value for name, value in report.items() if not name.startswith(("refused", "ignored"))}
    assert listed["datasets"] == [fields]
    assert "mnist" in listed["known"]
    assert "folder" not in listed["known"]
    sheet = client.get("/v1/datasets/photos/sheet")
    assert sheet.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(sheet.content)) as image:
        assert image.size == (190 + 4 * 68, 4 + 2 * 68)
    assert entries(home) == ["photos"]
    found = DatasetStore(home).find("photos")
    assert found is not None
    assert (found.kind, found.folder) == ("folder", home / "datasets/photos/images")


def test_a_form_and_a_stream_are_taken_too(client: TestClient) -> None:
    form = client.post("/v1/datasets?name=form", files={"file": ("a.zip", zipped(good()))})
    stream = upload(client, pieces(zipped(good())), "stream")
    assert [(answer.status_code, answer.json()["images"]) for answer in (form, stream)] == [(201, 6)] * 2


def test_arrays_are_taken_as_they_are(client: TestClient, home: Path) -> None:
    data = npz(images=IMAGES, labels=LABELS)
    answer = upload(client, data, "arrays", **RAW)
    assert answer.status_code == 201, answer.text
    assert answer.json()["kind"] == "npz"
    found = DatasetStore(home).find("arrays")
    assert found is not None
    assert found.folder.read_bytes() == data


def pieces(data: bytes) -> Iterator[bytes]:
    """Sent without a declared length."""
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


def test_a_name_is_taken_once_until_it_is_deleted(client: TestClient, home: Path) -> None:
    assert upload(client, zipped(good())).status_code == 201
    again = upload(client, zipped(good(5)))
    assert (again.status_code, again.json()["detail"]) == (
        409,
        "there is a data set 'photos' already: delete it first to replace it",
    )
    assert client.delete("/v1/datasets/photos").status_code == 204
    assert entries(home) == []
    assert [client.request(verb, f"/v1/datasets/photos{rest}").status_code for verb, rest in GONE] == [404] * 3
    assert upload(client, zipped(good(5))).json()["images"] == 10


GONE = [("GET", ""), ("GET", "/sheet"), ("DELETE", "")]


def test_of_uploads_of_one_name_at_the_same_time_one_wins_and_is_whole(client: TestClient, home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda count: upload(client, zipped(good(count))), [3, 4, 5, 6]))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    won = next(answer.json() for answer in answers if answer.status_code == 201)
    assert client.get("/v1/datasets/photos").json() == won
    assert len(list((home / "datasets/photos/images").rglob("*.png"))) == won["images"]
    assert entries(home) == ["photos"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"nonsense", "neither a zip file"), (link(), "is a link"), (bomb(300), "as a zip bomb does")],
    ids=["nonsense", "link", "bomb"],
)
def test_what_is_refused_leaves_nothing(client: TestClient, home: Path, body: bytes, reason: str) -> None:
    answer = upload(client, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["detail"].startswith("the data set is refused: ")
    assert reason in answer.json()["detail"]
    assert str(home) not in answer.text
    assert entries(home) == []


def test_the_settings_bound_what_is_taken(home: Path) -> None:
    data = zipped(good())
    with serving(home, max_dataset_bytes=len(data) - 1, max_body_bytes=1000) as client:
        for body in (data, pieces(data)):
            answer = upload(client, body)
            assert answer.status_code == 413
            assert f"the data set must have at most {len(data) - 1:,} bytes" in answer.json()["detail"]
    with serving(home, max_dataset_bytes=len(data), max_body_bytes=1000, max_dataset_images=5) as client:
        assert "it holds 6 files; 5 may be" in upload(client, data).json()["detail"]
    with serving(home, max_dataset_unpacked_bytes=100) as client:
        assert "100 may be" in upload(client, data).json()["detail"]
    assert entries(home) == []


@pytest.mark.parametrize(
    ("query", "arguments", "status", "message"),
    [
        ("?name=a", {"content": b"", "headers": ZIP}, 400, "the data set is empty"),
        ("?name=a", {"content": b"x", "headers": {"Content-Type": "image/png"}}, 415, "got 'image/png'"),
        ("?name=a", {"files": [("file", ("a", b"x")), ("file", ("b", b"x"))]}, 400, "one file, got more parts"),
        ("?name=a.b", {"content": b"x", "headers": ZIP}, 422, "[A-Za-z0-9_-]{1,64}"),
        ("?name=..", {"content": b"x", "headers": ZIP}, 422, "[A-Za-z0-9_-]{1,64}"),
        ("?name=mnist", {"content": b"x", "headers": ZIP}, 422, "must not be one that training knows"),
        ("?name=folder", {"content": b"x", "headers": ZIP}, 422, "must not be one that training knows"),
        ("", {"content": b"x", "headers": ZIP}, 422, "query.name"),
    ],
)
def test_a_wrong_request_is_a_problem_that_says_what_to_mend(
    client: TestClient, home: Path, query: str, arguments: dict, status: int, message: str
) -> None:
    answer = client.post(f"/v1/datasets{query}", **arguments)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert message in answer.json()["detail"]
    assert entries(home) == []


def test_what_lies_there_and_is_no_data_set_stays(client: TestClient, home: Path) -> None:
    (home / "datasets/photos/mine").mkdir(parents=True)
    answer = upload(client, zipped(good()))
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "something that is no data set lies at datasets/photos",
    )
    assert client.get("/v1/datasets").json()["datasets"] == []
    assert (home / "datasets/photos/mine").is_dir()
    assert entries(home) == ["photos"]


def test_a_thousand_pictures_are_taken(client: TestClient, home: Path) -> None:
    files = {f"set/{number % 10}/{number}.png": PICTURES[number % 4] for number in range(1000)}
    report = upload(client, zipped(files)).json()
    assert (report["images"], report["classes"]) == (1000, {str(name): 100 for name in range(10)})
    assert len(list((home / "datasets/photos/images").rglob("*.png"))) == 1000


def test_a_full_disk_is_507_and_leaves_nothing(client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = upload(client, zipped(good()))
    assert (answer.status_code, answer.json()["detail"]) == (507, "the disk of the datasets folder is full")
    assert entries(home) == []


def test_a_client_that_goes_away_ends_the_check_and_leaves_nothing(home: Path) -> None:
    app = create_app(Settings(home=home))
    data = zipped(good())
    messages = [{"type": "http.request", "body": data, "more_body": False}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/datasets",
        "raw_path": b"/v1/datasets",
        "root_path": "",
        "query_string": b"name=photos",
        "headers": [(b"content-type", b"application/zip")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "app": app,
    }

    async def receive() -> dict:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(_: object) -> None:
        """Nobody reads it."""

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)
            assert entries(home) == []

    asyncio.run(run())


def test_what_a_killed_process_left_is_deleted_and_what_is_on_its_way_is_not(home: Path) -> None:
    left = home / "datasets/.upload.left", home / "datasets/.deleted.left"
    for place in left:
        (place / "set/images").mkdir(parents=True)
    with new_place(home / "datasets", UPLOAD) as place, serving(home) as client:
        assert entries(home) == [place.name]
        left[0].mkdir()
        assert upload(client, zipped(good())).status_code == 201
        assert entries(home) == [place.name, "photos"]


def test_a_job_that_has_not_ended_keeps_its_data_set(client: TestClient, home: Path) -> None:
    assert upload(client, zipped(good())).status_code == 201
    jobs = JobStore(Settings(home=home).job_database)
    job, _ = jobs.create({"name": "a"}, dataset="photos")
    answer = client.delete("/v1/datasets/photos")
    assert answer.status_code == 409
    assert f"jobs use data set photos that have not ended: {job.id}; cancel them first" in answer.json()["detail"]
    with DatasetStore(home).hold("photos"):
        jobs.cancel(job.id)
        answer = client.delete("/v1/datasets/photos")
        assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert client.delete("/v1/datasets/photos").status_code == 204
    jobs.close()


def test_who_may_train_may_upload_and_delete_and_any_key_may_look(locked: TestClient, keys: dict[str, str]) -> None:
    data = zipped(good())
    assert upload(locked, data).status_code == 401
    assert upload(locked, data, **bearer(keys["predict"])).status_code == 403
    assert upload(locked, data, **bearer(keys["jobs"])).status_code == 201
    assert locked.get("/v1/datasets/photos/sheet", headers=bearer(keys["predict"])).status_code == 200
    assert locked.delete("/v1/datasets/photos", headers=bearer(keys["models"])).status_code == 403
    assert locked.delete("/v1/datasets/photos", headers=bearer(keys["jobs"])).status_code == 204
