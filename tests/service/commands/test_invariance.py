"""`stn invariance`, as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.commands import invariance
from service.commands.cli import main
from tests.service.conftest import write_model


@pytest.fixture
def calls(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    """What processes would be started with, and the request that each would read."""
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def record(*arguments: str) -> int:
        calls.append((list(arguments), json.loads(Path(arguments[-1]).read_text())))
        return 0

    monkeypatch.setenv("STN_HOME", str(home))
    monkeypatch.setattr(invariance, "run_module", record)
    return calls


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "model must be a run folder, a model file or the name of a served model, got 'nope'"),
        (["tiny", "--movements", "wobble"], "invalid choice 'wobble' for argument '--movements'"),
        (["tiny", "--images", "0"], "images must be in [1, 10000000], got 0"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, calls: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["invariance", *arguments]) == 2
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
