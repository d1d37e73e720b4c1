"""How far a model keeps up when its pictures are moved, measured by a job."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.client import Client, Conflict
from service.commands.cli import main
from service.datasets.store import REPORT
from tests.service.conftest import CLASSES, write_model
from tests.service.jobs.driven import store_at
from tests.service.jobs.test_with_worker import working
from tests.service.running import serving
from tests.training.test_invariance import write
from training.jobs.identity import named
from training.jobs.store import JobStore

PATH = "/v1/models/tiny/invariance"


def post(api: httpx2.Client, body: Any, path: str = PATH, **headers: str) -> httpx2.Response:
    return api.post(path, json=body, headers=headers)


def test_a_measurement_is_a_job_of_its_own_kind(api: httpx2.Client, store: JobStore, job_home: Path) -> None:
    body = {"movements": ["shear"], "images": 20, "data": {"name": "digits"}, "version": 1}
    answer = post(api, body, **{"Idempotency-Key": "once"})
    job = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job['id']}")
    config = job["config"]
    assert {name: config[name] for name in ("task", "name", "version", "data")} == {
        "task": "invariance",
        "name": "tiny",
        "version": 1,
        "data": {"name": "digits"},
    }
    assert (config["invariance"]["movements"], config["invariance"]["images"]) == (["shear"], 20)
    assert str(job_home) not in answer.text
    assert store.get(job["id"]).config["file"] == str(job_home / "models" / "tiny" / "1.safetensors")
    assert post(api, body, **{"Idempotency-Key": "once"}).json()["id"] == job["id"]
    assert post(api, {}, **{"Idempotency-Key": "once"}).status_code == 422
    refused = api.post(f"/v1/jobs/{job['id']}/stop")
    assert (refused.status_code, refused.json()["state"]) == (409, "queued")
    assert "stop needs a training" in refused.json()["detail"]
    assert api.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    write_model(job_home / "models" / "brief" / "1.safetensors")
    known = post(api, {}, "/v1/models/brief/invariance", **{"Idempotency-Key": "kept"}).json()
    assert api.delete("/v1/models/brief").status_code == 204
    again = post(api, {}, "/v1/models/brief/invariance", **{"Idempotency-Key": "kept"})
    assert (again.status_code, again.json()["id"]) == (202, known["id"])


def test_a_set_with_classes_that_the_model_lacks_is_refused_at_once(api: httpx2.Client, job_home: Path) -> None:
    folder = job_home / "datasets" / "other-things"
    folder.mkdir(parents=True)
    (folder / "images").mkdir()
    (folder / REPORT).write_text(json.dumps({"classes": {"cat": 9, "zebra": 9, "gnu": 9}}))
    refused = post(api, {"data": {"name": "other-things"}})
    assert refused.status_code == 422
    said = refused.json()["detail"]
    assert said.startswith("data.name must be a set of classes that tiny knows (") and "'other-things' with '" in said
    (folder / REPORT).write_text(json.dumps({"classes": dict.fromkeys(CLASSES, 9)}))
    accepted = post(api, {"data": {"name": "other-things"}})
    assert (accepted.status_code, accepted.json()["dataset"]) == (202, "other-things")
    assert api.post(f"/v1/jobs/{accepted.json()['id']}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "path", "status", "words"),
    [
        ({}, "/v1/models/nope/invariance", 404, "nope"),
        ({"version": 7}, PATH, 404, "7"),
        ({"version": "1"}, PATH, 422, "version must be a whole number from 1 to "),
        ({"version": True}, PATH, 422, "version must be a whole number from 1 to "),
        ([], PATH, 422, "the body must be an object of named fields"),
        ({"movements": ["wobble"]}, PATH, 422, "movements must be one of rotation, scale, "),
        ({"movement": ["shear"]}, PATH, 422, "movement is not a field of InvarianceConfig"),
        ({"data": {"root": "/etc"}}, PATH, 422, "data.root must be left out"),
        ({"data": {"name": "nowhere"}}, PATH, 422, "data.name must be one of digits, mnist, "),
        ({"data": {"name": 3}}, PATH, 422, "data.name must be one of digits, "),
        ({"data": {"test": 2}}, PATH, 422, "data.test must be in (0, 0.5], got 2.0"),
        ({"data": []}, PATH, 422, "data must be an object of named fields, got []"),
    ],
)
def test_what_cannot_be_measured_is_refused(api: httpx2.Client, body: Any, path: str, status: int, words: str) -> None:
    answer = post(api, body, path)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    assert api.post(path, content=b"x").status_code == 415


@pytest.mark.slow
def test_a_model_is_measured_by_a_worker_whose_process_is_killed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    (home / "models" / "digits").mkdir(parents=True)
    write(home / "models" / "digits" / "1.safetensors")
    store = store_at(home)
    with (
        serving(home, log=tmp_path / "log") as service,
        working(home, tmp_path / "worker"),
        Client(service.url) as client,
    ):
        service.wait_until_ready()
        job = client.jobs.invariance("digits", {"movements": ["rotation", "shear"], "images": 30}, version=1)
        until = time.monotonic() + 120
        while (process := named(store.get(job.id).process or "")) is None:
            assert time.monotonic() < until, (tmp_path / "worker").read_text()
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        events = list(client.jobs.events(job.id))
        done = client.jobs.get(job.id)
        assert (done.state, done.reason, done.attempt) == ("succeeded", "measured to its end", 2), done
        assert any("SIGKILL" in event.data["reason"] for event in events if event.kind == "state")
        assert (done.step, done.steps) == (30 * (1 + 37 + 11), 30 * (1 + 37 + 11))
        assert events[-2].kind == "progress" and events[-2].data["phase"] == "measuring"
        assert done.model is None and len(client.model("digits").versions) == 1
        paths = {file.path for file in client.jobs.artifacts(job.id)}
        assert paths == {
            *("config.json", "result.json"),
            *(f"report/{name}" for name in ("index.html", "curves.png", "invariance.json")),
        }
        assert any(line.startswith("rotation: of its accuracy the model keeps") for line in client.jobs.logs(job.id))
        found = json.loads(client.jobs.download(job.id, "report/invariance.json", tmp_path / "numbers").read_text())
        assert (found["model"], found["data"], found["images"]) == ("digits", "digits", 30)
        assert done.scores == {"accuracy": pytest.approx(found["accuracy"])}
        with pytest.raises(Conflict, match="resume needs a job that failed"):
            client.jobs.resume(job.id)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("STN_HOME", str(tmp_path / "elsewhere"))
        arguments = ["--movements", "rotation", "shear", "--images", "30", "--url", service.url, "--json"]
        assert main(["invariance", "digits", *arguments]) == 0
        printed = json.loads(capfd.readouterr().out)
        assert printed["movements"] == found["movements"]
        assert (tmp_path / "invariance" / "index.html").read_bytes() == client.jobs.download(
            client.jobs.list(limit=1).jobs[0].id, "report/index.html", tmp_path / "page"
        ).read_bytes()
    store.close()
