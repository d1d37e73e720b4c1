"""`stn evaluate`, as a user types it."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from service.commands import cli, judge
from service.commands.cli import main
from service.models.folder import register
from tests.service.commands.test_cli import SMALL, stn


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run and its model, served."""
    home = tmp_path_factory.mktemp("home")
    with stn("train", "digits", *SMALL, home=home) as (process, lines):
        assert process.wait(120) == 0, "".join(lines)
    return home


def evaluates(process: int) -> bool:
    """Whether a child of this process is an evaluation."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return any("training.evaluate" in Path(f"/proc/{child}/cmdline").read_text() for child in children)


@pytest.mark.slow
def test_a_served_model_is_evaluated_with_the_data_of_its_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "digits", "--json"]) == 0
    (run,) = (home / "runs").iterdir()
    answer = json.loads(capfd.readouterr().out)
    result = json.loads((run / "result.json").read_text())
    assert answer["accuracy"] == pytest.approx(result["scores"]["test/accuracy"], abs=1e-6)
    assert answer["page"] == str(run / "report" / "index.html")


def test_only_what_is_given_is_asked_for(home: Path, calls: list[Any]) -> None:
    (run,) = (home / "runs").iterdir()
    arguments = ["--data.name=folder", "--data.root", "photos", "--data.no-download", "--distortion.rotation", "30"]
    assert main(["evaluate", str(run), *arguments, "--part", "all", "--output", "out"]) == 0
    ((started, request),) = calls
    assert started[:-1] == ["training.evaluate", "--output", "out", "--", str(run)]
    assert request == {
        "data": {"name": "folder", "root": "photos", "download": False},
        "distortion": {"rotation": 30.0},
        "part": "all",
    }


def test_a_served_model_without_its_run_is_evaluated_as_a_file(
    home: Path, tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = (home / "runs").iterdir()
    monkeypatch.setenv("STN_HOME", str(tmp_path))
    register(tmp_path / "models", "alone", run / "model.safetensors")
    assert main(["evaluate", "alone"]) == 0
    shutil.copytree(run, tmp_path / "runs" / "again")
    assert main(["evaluate", "alone"]) == 0
    sources = [started[-2] for started, _ in calls]
    assert sources == [str(tmp_path / "models/alone/1.safetensors"), str(tmp_path / "runs/again")]


def test_the_exit_code_is_that_of_the_process(home: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "run_module", lambda *_: 130)
    assert main(["evaluate", "digits"]) == 130


def test_an_evaluation_that_is_stopped_ends_in_good_order(home: Path) -> None:
    with stn("evaluate", "digits", "--output", str(home / "stopped"), home=home) as (process, lines):
        while not evaluates(process.pid):
            assert process.poll() is None, "".join(lines)
            time.sleep(0.02)
        time.sleep(1)  # it has begun, and its imports alone take longer than this
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
    assert "Traceback" not in "".join(lines)


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "stn evaluate RUN --data.name folder --data.root PHOTOS --part all" in text
    assert set(cli.Part.__args__) <= set(text.replace("{", " ").replace("}", " ").replace(",", " ").split())
