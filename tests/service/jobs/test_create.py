"""What `POST /v1/jobs` takes, and what it makes of it."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.access.keys import create_key
from service.datasets.store import REPORT
from service.settings import Settings
from stn.config import to_dict
from tests.service.conftest import bearer
from tests.service.jobs.driven import store_at
from tests.service.serving import serving
from training.config import TrainingConfig
from training.jobs.store import JobStore
from training.presets import PRESETS

KEY = "Idempotency-Key"


def post(api: httpx2.Client, body: Any, **headers: str) -> httpx2.Response:
    return api.post("/v1/jobs", json=body, headers=headers)


def test_a_config_becomes_a_job_that_waits(api: httpx2.Client, store: JobStore) -> None:
    answer = post(api, {"name": "mine", "trainer": {"max_epochs": 3}})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/jobs/{job['id']}")
    assert (job["state"], job["name"], job["reason"]) == ("queued", "mine", "waits for a worker")
    assert api.get(answer.headers["location"]).json() == job
    kept = store.get(job["id"])
    assert kept.config["trainer"]["max_epochs"] == 3
    assert kept.config["optimizer"] == to_dict(TrainingConfig(name="mine"))["optimizer"]


def test_the_answer_has_no_folders_of_the_machine(api: httpx2.Client, job_home: Path) -> None:
    answer = post(api, {"name": "mine", "data": {"name": "mnist"}})
    assert answer.json()["config"]["data"]["name"] == "mnist"
    assert str(job_home) not in answer.text
    assert {"root", "cache"}.isdisjoint(answer.json()["config"]["data"])


def test_the_config_that_is_shown_may_be_posted_again(api: httpx2.Client) -> None:
    shown = post(api, {"preset": "digits", "name": "again"}).json()["config"]
    assert post(api, shown).json()["config"] == shown


def test_torchvision_s_sets_lie_where_the_operator_says(api: httpx2.Client, store: JobStore, job_home: Path) -> None:
    job = post(api, {"name": "mine", "data": {"name": "mnist"}}).json()
    assert store.get(job["id"]).config["data"]["root"] == str(job_home / "data")


def test_a_preset_is_a_whole_config_but_for_what_is_given(api: httpx2.Client, store: JobStore) -> None:
    body = {"preset": "digits", "name": "turned", "distortion": {"rotation": 90.0}, "trainer": {"max_steps": 5}}
    kept = store.get(post(api, body).json()["id"]).config
    preset = to_dict(PRESETS["digits"]())
    assert kept["distortion"] == json.loads(json.dumps({**preset["distortion"], "rotation": 90.0}))
    assert kept["trainer"] == {**preset["trainer"], "max_steps": 5}
    assert (kept["name"], kept["model"]["units"]) == ("turned", preset["model"]["units"])


@pytest.fixture
def photos(job_home: Path) -> Path:
    """A data set of the service's own, as far as jobs look at it."""
    folder = job_home / "datasets" / "my-photos"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text("{}")
    return folder


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_a_data_set_of_the_service_is_named(
    api: httpx2.Client, store: JobStore, photos: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "npz":
        (photos / "data.npz").touch()
        request.addfinalizer((photos / "data.npz").unlink)
    job = post(api, {"preset": "pictures", "data": {"name": "my-photos", "size": [32, 32]}}).json()
    assert (job["dataset"], job["config"]["data"]["name"]) == ("my-photos", "my-photos")
    kept = store.get(job["id"])
    root = photos / ("images" if kind == "folder" else "data.npz")
    assert kept.config["data"]["name"] == kind
    assert (kept.config["data"]["root"], kept.config["data"]["size"]) == (str(root), [32, 32])
    assert job["id"] in store.jobs_using("my-photos")


def test_one_class_alone_is_for_an_aligner(api: httpx2.Client, photos: Path) -> None:
    (photos / REPORT).write_text('{"classes": {"pictures": 9}}')
    own = {"data": {"name": "my-photos"}}
    refused = api.post("/v1/jobs", json={"preset": "pictures", **own})
    assert refused.status_code == 422
    said = "data.name must be a set of 2 classes at least for task classify (align needs none)"
    assert refused.json()["detail"] == f"{said}, got 'my-photos' with 'pictures' alone"
    assert post(api, {"preset": "align", **own}).json()["dataset"] == "my-photos"


def test_a_job_whose_data_set_was_deleted_is_found_by_its_key_and_does_not_go_on(
    api: httpx2.Client, store: JobStore, photos: Path
) -> None:
    body = {"preset": "pictures", "data": {"name": "my-photos"}}
    job = post(api, body, **{KEY: "gone"}).json()
    store.cancel(job["id"])
    shutil.rmtree(photos)
    assert post(api, body, **{KEY: "gone"}).json()["id"] == job["id"]
    refused = api.post(f"/v1/jobs/{job['id']}/resume")
    assert (refused.status_code, refused.json()["state"]) == (409, "cancelled")
    assert "the data set my-photos, which has been deleted" in refused.json()["detail"]


def test_where_a_job_may_not_go_on_anyhow_its_state_is_the_reason_and_not_its_data_set(
    api: httpx2.Client, store: JobStore, photos: Path
) -> None:
    job = post(api, {"preset": "pictures", "data": {"name": "my-photos"}}).json()
    shutil.rmtree(photos)
    refused = api.post(f"/v1/jobs/{job['id']}/resume")
    assert (refused.status_code, refused.json()["state"]) == (409, "queued")
    assert "needs a job that has ended" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "x", "trainer": {"max_epoch": 3}}, "trainer.max_epoch is not a field of TrainerConfig"),
        ({"name": "x", "trainer": {"max_epochs": "3"}}, "trainer.max_epochs must be a whole number, got '3'"),
        ({"name": "x", "trainer": {"max_epochs": 0}}, "trainer.max_epochs must be in [1, 1000000], got 0"),
        ({"name": "x", "trainer": 3}, "trainer must be an object"),
        ({"name": "x", "data": None}, "data must be an object"),
        ({"name": "x", "data": {"name": 3}}, "data.name must be one of"),
        ({"name": "x", "nmae": "y"}, "nmae is not a field of TrainingConfig"),
        ({"name": "../x"}, "name must be 1 to 64 letters, digits, - and _, got '../x'"),
        ({}, "name is missing"),
        ([], "the body must be an object"),
        ({"name": "x", "data": {"name": "folder"}}, "data.name must be one of digits, mnist"),
        ({"preset": "pictures"}, "data.name must be one of digits, mnist"),
        ({"name": "x", "data": {"name": "nobody-s"}}, "GET /v1/datasets), got 'nobody-s'"),
        ({"name": "x", "data": {"name": "../models"}}, "GET /v1/datasets), got '../models'"),
        ({"name": "x", "data": {"name": "mnist", "root": "/etc"}}, "data.root must be left out"),
        ({"name": "x", "data": {"cache": "/etc"}}, "data.cache must be left out"),
        ({"preset": "pictures", "data": {"name": "digits", "root": "/etc"}}, "data.root must be left out"),
        ({"preset": "digit"}, "preset must be one of digits, mnist, handwriting, pictures, align, got 'digit'"),
        ({"preset": ["digits"]}, "preset must be one of digits"),
        ({"name": "x", "trainer": {"nodes": 2}}, "trainer.nodes must be 1, where jobs run on one machine each, got 2"),
    ],
)
def test_a_mistake_is_answered_with_the_field_and_the_rule(api: httpx2.Client, body: Any, said: str) -> None:
    answer = post(api, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b'{"name": "' + b"x" * 2**20 + b'"}', "application/json", 413),
        (b'{"name": "' + b"x" * 2**19 + b'"}', "application/json; charset=utf-8", 422),
    ],
)
def test_what_is_no_config_at_all_is_refused(api: httpx2.Client, body: bytes, kind: str, status: int) -> None:
    answer = api.post("/v1/jobs", content=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status
    assert len(answer.content) < 2000


def test_the_same_key_and_body_are_the_same_job(api: httpx2.Client) -> None:
    first, again = (post(api, {"name": "once", "seed": 3}, **{KEY: "key-1"}) for _ in range(2))
    assert (again.status_code, again.json(), again.headers["location"]) == (
        202,
        first.json(),
        first.headers["location"],
    )
    assert post(api, {"seed": 3, "name": "once"}, **{KEY: "key-1"}).json()["id"] == first.json()["id"]
    assert post(api, {"name": "once", "seed": 3}, **{KEY: "key-2"}).json()["id"] != first.json()["id"]


def test_another_body_with_the_same_key_is_refused(api: httpx2.Client) -> None:
    post(api, {"name": "once"}, **{KEY: "key-3"})
    answer = post(api, {"name": "twice"}, **{KEY: "key-3"})
    assert (answer.status_code, "idempotency key" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "h\xe9"])
def test_a_key_that_is_none_is_refused(api: httpx2.Client, key: str) -> None:
    headers = [(KEY.encode(), key.encode("latin-1")), (b"Content-Type", b"application/json")]
    assert api.post("/v1/jobs", content=b'{"name": "x"}', headers=headers).status_code == 422


def test_posts_at_the_same_moment_with_one_key_make_one_job(api: httpx2.Client) -> None:
    ids = []
    threads = [
        threading.Thread(target=lambda: ids.append(post(api, {"name": "race"}, **{KEY: "race"}).json()["id"]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(ids), len(set(ids))) == (8, 1)


def test_a_key_of_idempotency_is_of_one_owner(prepared: None, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = {name: create_key(path, name, ("jobs",)) for name in ("ann", "bob")}
    watcher = create_key(path, "eve", ("predict",))
    with serving(Settings(home=tmp_path)) as address, httpx2.Client(base_url=f"http://{address}") as api:
        answers = {
            name: api.post("/v1/jobs", json={"name": name}, headers={KEY: "k", **bearer(key)})
            for name, key in keys.items()
        }
        assert {name: answer.json()["owner"] for name, answer in answers.items()} == {"ann": "ann", "bob": "bob"}
        assert api.get("/v1/jobs", headers=bearer(watcher)).status_code == 403
        assert api.get("/v1/jobs").status_code == 401
    assert {job.owner for job in store_at(tmp_path).list()} == {"ann", "bob"}
