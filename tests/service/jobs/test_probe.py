"""The filmstrip of a job, read from its run folder."""

import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.client import Client
from service.jobs.probe import read_probe
from tests.service.jobs.driven import begun, config
from training.jobs.job import Job
from training.jobs.news import News
from training.jobs.store import JobStore

URI = "data:image/png;base64,iVBORw0KGgo="
PICTURES = {"pictures": [{"image": URI, "class": "a"}, {"image": URI, "class": None}]}


def frame(step: int, **changes: Any) -> dict[str, Any]:
    corners = [[0.0, 0.0], [4.0, 0.5], [4.0, 4.0], [-1.0, 4.0]]
    item = {"transformed": URI, "outline": corners, "class": "b", "probability": 0.5}
    return {"step": step, "epoch": step / 10, "items": [item, item], **changes}


@pytest.fixture
def job(store: JobStore, job_home: Path) -> Job:
    store.create(config())
    return begun(store)


@pytest.fixture
def folder(job_home: Path, job: Job) -> Path:
    folder = job_home / "runs" / job.id / "probe"
    folder.mkdir(parents=True)
    (folder / "pictures.json").write_text(json.dumps(PICTURES))
    for step in (20, 10, 1_000_000):
        (folder / f"step-{step:06d}.json").write_text(json.dumps(frame(step)))
    return folder


def steps(api: httpx2.Client, job: Job, after: int = 0) -> list[int]:
    answer = api.get(f"/v1/jobs/{job.id}/probe", params={"after": after})
    assert answer.status_code == 200, answer.text
    return [entry["step"] for entry in answer.json()["frames"]]


def test_frames_come_in_the_order_of_their_steps_and_only_later_ones(
    api: httpx2.Client, job: Job, folder: Path
) -> None:
    answer = api.get(f"/v1/jobs/{job.id}/probe").json()
    assert answer == {**PICTURES, "frames": [frame(step) for step in (10, 20, 1_000_000)]}
    assert steps(api, job, 10) == [20, 1_000_000]
    assert steps(api, job, 1_000_000) == []
    assert api.get(f"/v1/jobs/{job.id}/probe", params={"after": "x"}).status_code == 422


def test_a_job_that_has_not_begun_has_none_and_an_unknown_one_is_404(api: httpx2.Client, job: Job) -> None:
    assert api.get(f"/v1/jobs/{job.id}/probe").json() == {"pictures": [], "frames": []}
    assert api.get("/v1/jobs/nothere/probe").status_code == 404


@pytest.mark.parametrize(
    "content",
    [
        b"",
        json.dumps(frame(10)).encode()[:-20],
        b"\xff\xfe",
        b"[]",
        json.dumps(frame(10, items=[])).encode(),
        json.dumps(frame(10, epoch=float("nan"))).encode(),
        json.dumps(frame(10)).replace("data:image/png", "https://elsewhere").encode(),
        b" " * 2**23,
    ],
)
def test_a_damaged_frame_is_as_if_it_were_not_there(api: httpx2.Client, job: Job, folder: Path, content: bytes) -> None:
    (folder / "step-000010.json").write_bytes(content)
    assert steps(api, job) == [20, 1_000_000]


def test_damaged_pictures_are_as_if_there_were_none(api: httpx2.Client, job: Job, folder: Path) -> None:
    (folder / "pictures.json").write_text('{"pictures": [{')
    assert api.get(f"/v1/jobs/{job.id}/probe").json() == {"pictures": [], "frames": []}


def test_no_link_is_followed_and_nothing_else_is_read(folder: Path, tmp_path: Path) -> None:
    run = folder.parent
    (folder / "step-000010.json").unlink()
    secret = tmp_path / "step-000010.json"
    secret.write_text(json.dumps(frame(10)))
    (folder / "step-000010.json").symlink_to(secret)
    (folder / ".step-000030.json.abc").write_text(json.dumps(frame(30)))
    (folder / "step-000040.json").mkdir()
    os.mkfifo(folder / "step-000050.json")
    assert [entry.step for entry in read_probe(run, 0).frames] == [20, 1_000_000]
    folder.rename(tmp_path / "elsewhere")
    (run / "probe").symlink_to(tmp_path / "elsewhere")
    assert read_probe(run, 0).pictures == []


def test_an_event_tells_of_every_new_frame_and_of_the_sheet_beside_it(folder: Path) -> None:
    run = folder.parent
    (run / "samples").mkdir()
    (run / "samples" / "step-000010.png").write_bytes(b"\x89PNG")
    (run / "progress.json").write_text(json.dumps({"attempt": 1, "step": 20, "steps": 20}))
    news = News(run)
    news.look(1, 1)
    told = [data for kind, data in news.events if kind == "sample"]
    assert told == [
        {"file": "step-000010.png", "step": 10},
        {"file": None, "step": 20},
        {"file": None, "step": 1_000_000},
    ]
    news.look(1, 1)
    assert [data for kind, data in news.events if kind == "sample"] == told


def test_a_client_reads_it(api: httpx2.Client, job: Job, folder: Path) -> None:
    with Client(str(api.base_url)) as client:
        probe = client.jobs.probe(job.id, 10)
    assert [entry.step for entry in probe.frames] == [20, 1_000_000]
    assert probe.pictures[0].class_name == "a"
    assert probe.frames[0].items[0].outline[1] == (4.0, 0.5)
