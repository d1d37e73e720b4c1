"""The files of a job: what there is, what is served, and that nothing else ever is."""

import io
import os
from datetime import datetime
from pathlib import Path

import httpx2
import pytest
import torch

from service.jobs.checkpoints import step_of
from service.jobs.files import is_public, open_file
from tests.service.jobs.driven import REPORT, begun, config, finished
from tests.service.models.test_store import serve
from training.jobs.job import Job
from training.jobs.store import JobStore
from training.storage.places import FolderStorage
from training.storage.runs import Publisher


@pytest.fixture
def done(store: JobStore, job_home: Path) -> Job:
    store.create(config())
    return finished(store, job_home, begun(store))


def test_files_are_listed_with_links(api: httpx2.Client, done: Job, job_home: Path) -> None:
    listed = api.get(f"/v1/jobs/{done.id}/artifacts").json()["artifacts"]
    assert {entry["path"]: entry["type"] for entry in listed} == {
        "config.json": "application/json",
        "metrics.jsonl": "application/x-ndjson",
        "model.safetensors": "application/octet-stream",
        "report/index.html": "text/html",
        "result.json": "application/json",
        "samples/step-000010.png": "image/png",
    }
    for entry in listed:
        answer = api.get(entry["link"])
        assert answer.content == (job_home / "runs" / done.id / entry["path"]).read_bytes()
        assert answer.headers["content-length"] == str(entry["bytes"])
        assert answer.headers["content-type"].partition(";")[0] == entry["type"]


def test_the_report_may_show_what_it_holds_and_run_nothing(api: httpx2.Client, done: Job) -> None:
    answer = api.get(f"/v1/jobs/{done.id}/artifacts/report/index.html")
    assert answer.text == REPORT
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["img-src"], policy["style-src"]) == ("'none'", "data:", "'unsafe-inline'")
    assert "script-src" not in policy
    assert policy["sandbox"] == "" and policy["frame-ancestors"] == "'self'"


def test_the_model_file_is_saved_under_the_job_s_name(api: httpx2.Client, done: Job) -> None:
    answer = api.get(f"/v1/jobs/{done.id}/artifacts/model.safetensors")
    assert answer.headers["content-disposition"] == f'attachment; filename="{done.id}.safetensors"'


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/etc/passwd", "../x/config.json", "report/../config.json", "report//index.html"),
        *("console.txt", "log.txt", "checkpoints/last.ckpt", "report/last.ckpt", "samples/x.ckpt", "samples"),
        *(
            "report/.hidden.html",
            ".lock",
            "control.json",
            "attempt.json",
            "report/a/b/c/d.png",
            "tensorboard/events.png",
        ),
        *(
            "config.json/x",
            "report\\index.html",
            "report/index.html\0",
            "samples/\u00fc.png",
            "samples/" + "x" * 300 + ".png",
        ),
    ],
)
def test_nothing_else_is_public(path: str) -> None:
    assert not is_public(path)


@pytest.mark.parametrize(
    "path", ["%2e%2e/config.json", "report%2f..%2fconfig.json", "..%2f..%2fkeys.json", "report%00.html"]
)
def test_a_path_that_is_written_oddly_is_not_found(api: httpx2.Client, done: Job, path: str) -> None:
    assert api.get(f"/v1/jobs/{done.id}/artifacts/{path}").status_code == 404


def test_links_are_not_followed(api: httpx2.Client, done: Job, job_home: Path, tmp_path: Path) -> None:
    run = job_home / "runs" / done.id
    (tmp_path / "secret.png").write_text("secret")
    (run / "samples" / "link.png").symlink_to(tmp_path / "secret.png")
    (run / "report" / "folder").symlink_to(tmp_path)
    (run / "result.json").unlink()
    (run / "result.json").symlink_to(tmp_path / "secret.png")
    for path in ("samples/link.png", "report/folder/secret.png", "result.json"):
        assert api.get(f"/v1/jobs/{done.id}/artifacts/{path}").status_code == 404
    listed = api.get(f"/v1/jobs/{done.id}/artifacts").json()["artifacts"]
    assert "secret" not in str(listed)
    assert not [entry for entry in listed if "link" in entry["path"] or "folder" in entry["path"]]


def test_what_is_no_file_is_not_opened(done: Job, job_home: Path) -> None:
    run = job_home / "runs" / done.id
    os.mkfifo(run / "samples" / "pipe.png")
    (run / "samples" / "folder.png").mkdir()
    assert open_file(run, "samples/pipe.png") is None
    assert open_file(run, "samples/folder.png") is None


def test_a_job_without_a_run_folder_has_no_files(api: httpx2.Client, store: JobStore) -> None:
    job = store.create(config())[0]
    assert api.get(f"/v1/jobs/{job.id}/artifacts").json() == {"artifacts": []}
    assert api.get(f"/v1/jobs/{job.id}/checkpoints").json() == {"checkpoints": []}
    assert api.get(f"/v1/jobs/{job.id}/artifacts/config.json").status_code == 404


def test_checkpoints_are_listed_with_their_steps_also_where_another_machine_has_them(
    api: httpx2.Client, done: Job, job_home: Path, tmp_path: Path
) -> None:
    folder = job_home / "runs" / done.id / "checkpoints"
    folder.mkdir()
    for name, step in (("best", 7), ("last", 70_000)):
        state = {"epoch": 3, "global_step": step, "loops": {"a": 5}, "state_dict": {"w": torch.zeros(3)}}
        torch.save(state, folder / f"{name}.ckpt")
    (folder / ".last.ckpt.x").write_bytes(b"half")
    listed = api.get(f"/v1/jobs/{done.id}/checkpoints").json()["checkpoints"]
    assert [(entry["name"], entry["step"]) for entry in listed] == [("best.ckpt", 7), ("last.ckpt", 70_000)]
    assert listed[0]["bytes"] == (folder / "best.ckpt").stat().st_size

    (tmp_path / "mounted").mkdir()
    Publisher(FolderStorage(tmp_path / "mounted"), done.id, folder.parent, done.attempt).publish()
    place = {"storage": str(tmp_path / "mounted"), "database": f"sqlite:///{job_home}/jobs.sqlite"}
    with serve(tmp_path / "replica", **place) as replica:
        told = replica.get(f"/v1/jobs/{done.id}/checkpoints").json()["checkpoints"]
    assert [{**entry, "time": None} for entry in told] == [{**entry, "time": None} for entry in listed]
    assert datetime.fromisoformat(told[0]["time"]) >= datetime.fromisoformat(listed[0]["time"])


def test_the_step_of_what_is_no_checkpoint_is_unknown(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"global_step": 3}, whole)
    for number, content in enumerate([b"", b"PK", whole.getvalue()[:100], b"x" * 1000]):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert step_of(path) is None
    assert step_of(tmp_path / "nowhere") is None
