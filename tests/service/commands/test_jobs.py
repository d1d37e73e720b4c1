"""`stn jobs`, at the home folder and at a service."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.commands.cli import main
from tests.service.jobs.driven import begun, finished, store_at
from tests.service.running import serving
from training.jobs.store import JobStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobStore]:
    """That of the home folder which the commands have."""
    monkeypatch.setenv("STN_HOME", str(tmp_path))
    monkeypatch.setenv("STN_URL", "")  # as good as none
    store = store_at(tmp_path)
    yield store
    store.close()


def create(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The id of a job that the shell launched."""
    assert main(["jobs", "create", "digits", *arguments]) == 0
    job = capsys.readouterr().out.strip()
    assert re.fullmatch("[0-9a-z]{18}", job)
    return job


def test_a_job_is_launched_with_the_preset_and_what_was_given(
    store: JobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    job = store.get(create(capsys, "--name", "mine", "--trainer.max-steps", "7"))
    assert (job.name, job.state, job.config["trainer"]["max_steps"]) == ("mine", "queued", 7)
    assert job.config["distortion"]["rotation"] == 45.0


def test_the_same_idempotency_key_launches_one_job(store: JobStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(capsys, "--idempotency-key", "a") == create(capsys, "--idempotency-key", "a")
    assert main(["jobs", "create", "digits", "--idempotency-key", "a", "--seed", "1"]) == 2
    assert "another" in capsys.readouterr().err
    assert len(store.list()) == 1


def test_somebody_at_the_machine_may_name_a_folder_of_it(
    store: JobStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["jobs", "create", "pictures", "--data.root", "photos"]) == 0
    assert store.get(capsys.readouterr().out.strip()).config["data"]["root"] == str(tmp_path / "photos")
    assert main(["jobs", "create", "pictures"]) == 2
    assert "data.name must be one of digits" in capsys.readouterr().err


def test_a_job_is_listed_shown_stopped_resumed_and_deleted(
    store: JobStore, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job = create(capsys)
    for verb in (["show", job], ["list"]):
        assert main(["jobs", *verb]) == 0
        assert "waits for a worker: none has given a sign of life" in capsys.readouterr().out
    assert main(["jobs", "stop", job]) == 2
    assert "stop needs a job that has begun (cancel it), and the job is queued" in capsys.readouterr().err
    held = begun(store)
    for verb, state in (("stop", "stopping"), ("cancel", "stopping")):
        assert main(["jobs", verb, job]) == 0
        assert f"{job}  digits  {state}" in capsys.readouterr().out
    store.finish(held, "cancelled", "cancelled")
    assert main(["jobs", "resume", job]) == 0
    assert main(["jobs", "list", "--status", "queued"]) == 0
    assert capsys.readouterr().out.count(f"{job}  digits  queued") == 2
    finished(store, tmp_path, begun(store))
    assert main(["jobs", "show", job]) == 0
    assert "succeeded  step 20/20, model digits version 1" in capsys.readouterr().out
    assert main(["jobs", "delete", job]) == 0
    assert main(["jobs", "show", job]) == 2
    assert "JOB must be the id of a job" in capsys.readouterr().err
    assert not (tmp_path / "runs" / job).exists()


def test_why_a_job_is_tried_again_is_shown(store: JobStore, capsys: pytest.CaptureFixture[str]) -> None:
    job = create(capsys)
    assert main(["jobs", "show", job]) == 0
    assert "queued: " not in capsys.readouterr().out
    store.interrupt(begun(store), "the process was killed by SIGKILL", wait=0.0, crashed=True)
    assert main(["jobs", "show", job]) == 0
    assert "queued: the process was killed by SIGKILL" in capsys.readouterr().out


def test_the_log_of_a_job_is_printed(store: JobStore, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    job = create(capsys)
    assert main(["jobs", "logs", job]) == 0
    assert capsys.readouterr().out == ""
    finished(store, tmp_path, begun(store))
    assert main(["jobs", "logs", job, "--follow", "--tail", "2"]) == 0
    assert capsys.readouterr().out == "second\nthird\n"


def test_a_job_is_watched_until_it_ends(store: JobStore, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    job = create(capsys)
    ending = threading.Timer(0.5, lambda: finished(store, tmp_path, begun(store)))
    ending.start()
    assert main(["jobs", "watch", job]) == 0
    ending.join()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "queued: waits for a worker"
    assert "step 20: validation loss 0.2500, 87.5% right" in told
    assert "succeeded: the training is done" in told
    assert main(["jobs", "watch", job, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))


def test_a_terminal_has_a_bar_with_what_the_job_says_is_left(
    store: JobStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("service.commands.training_jobs._is_drawn_on", lambda: True)
    create(capsys)
    progress = {"step": 15, "steps": 20, "eta_seconds": 125.0, "phase": "training"}
    unknown = dict.fromkeys(("step", "steps", "eta_seconds"))  # as where a next attempt begins
    events = [("progress", progress), ("progress", unknown)]
    job = store.record(begun(store), events, step=15, steps=20, eta_seconds=125.0)
    finished(store, tmp_path, job)
    assert main(["jobs", "watch", job.id]) == 0
    told = capsys.readouterr().err
    assert "digits:  75%|" in told and "15/20, 2 min 5 s left" in told
    assert "step/s" not in told
    assert " 0/20" not in told.partition("15/20")[2]


def test_watching_a_job_that_failed_is_exit_code_1(store: JobStore, capsys: pytest.CaptureFixture[str]) -> None:
    job = create(capsys)
    store.finish(begun(store), "failed", "data.root must be a folder that exists", failure="mistake")
    assert main(["jobs", "watch", job]) == 1
    assert "failed: data.root must be a folder that exists" in capsys.readouterr().err


def test_a_service_is_asked_where_there_is_one(
    store: JobStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(tmp_path, log=tmp_path / "log") as service:
        monkeypatch.setenv("STN_HOME", str(tmp_path / "another"))
        monkeypatch.setenv("STN_URL", service.url)
        job = create(capsys, "--name", "far")
        assert store.get(job).name == "far"
        finished(store, tmp_path, begun(store))
        assert main(["jobs", "watch", job]) == 0
        assert "succeeded: the training is done" in capsys.readouterr().err
        assert main(["jobs", "logs", job]) == 0
        assert capsys.readouterr().out == "first\nsecond\nthird\n"
        assert main(["jobs", "cancel", job]) == 2
        assert "cancel needs a job that has not ended, and the job is succeeded" in capsys.readouterr().err
        assert main(["jobs", "create", "pictures", "--data.root", "photos"]) == 2
        assert "--data.root must be left out" in capsys.readouterr().err
        assert main(["jobs", "list", "--json"]) == 0
        assert [each["id"] for each in json.loads(capsys.readouterr().out)["jobs"]] == [job]
        assert main(["jobs", "delete", job]) == 0
    assert not (tmp_path / "another").exists()
