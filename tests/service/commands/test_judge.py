"""`stn evaluate` and `stn invariance`: what reaches the process, and mistakes in what is typed."""

from pathlib import Path
from typing import Any

import pytest

from service.commands.cli import main
from tests.service.conftest import write_model


def test_what_is_asked_for_reaches_the_process(home: Path, calls: list[Any]) -> None:
    arguments = [
        "--movements",
        "rotation",
        "shear",
        "--images",
        "50",
        "--seed",
        "3",
        "--noise",
        "0.2",
        "--clutter",
        "4",
    ]
    assert main(["invariance", "tiny", *arguments, "--data.root", "photos", "--output", "out", "--json"]) == 0
    ((started, request),) = calls
    source = str(home / "models" / "tiny" / "1.safetensors")
    assert started[:-1] == ["training.invariance", "--output", "out", "--json", "--", source]
    assert request["data"] == {"root": "photos"}
    assert request["invariance"]["movements"] == ["rotation", "shear"]
    assert [request["invariance"][name] for name in ("images", "seed", "noise", "clutter")] == [50, 3, 0.2, 4]


def test_a_folder_with_the_name_of_a_served_model_does_not_hide_it(
    home: Path, calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["evaluate", "tiny"]) == 0
    assert calls[0][0][-2] == str(home / "models" / "tiny" / "1.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "nope"], "model must be a run folder, a model file or the name of a served model, got 'nope'"),
        (["evaluate", "tiny", "--distortion.rotation", "999"], "distortion.rotation must be in [0, 180] degrees"),
        (["evaluate", "tiny", "--part", "x"], "invalid choice 'x' for argument '--part'"),
        (["invariance", "nope"], "model must be a run folder, a model file or the name of a served model, got 'nope'"),
        (["invariance", "tiny", "--movements", "wobble"], "invalid choice 'wobble' for argument '--movements'"),
        (["invariance", "tiny", "--images", "0"], "images must be in [1, 10000000], got 0"),
        (
            ["invariance", "tiny", "--data.root", "x", "--url", "http://127.0.0.1:9"],
            "--data.root must be left out: a service knows where its data sets are",
        ),
        (["invariance", "tiny", "--url", "http://127.0.0.1:9"], "url must be that of a running service"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    calls: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("service.client.connection.RETRIES", 0)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not calls


@pytest.mark.slow
def test_a_model_that_names_no_data_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_HOME", str(tmp_path))
    write_model(tmp_path / "model.safetensors")
    assert main(["invariance", str(tmp_path / "model.safetensors")]) == 2
    assert "error: data must be given for" in capfd.readouterr().err
