"""Table 1: its cells, and a run of one that is started twice."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stn import InputConfig, build_model
from tests.training.test_data import write_mnist
from training.experiments.cells import COLUMNS, MODELS, PAPER, Cell, config_of
from training.experiments.table import write_table
from training.experiments.table1 import main
from training.recipes import DISTORTIONS
from training.runs import hold


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("distortion", COLUMNS)
def test_every_cell_has_400_thousand_parameters_within_5_percent(model: str, distortion: str) -> None:
    for recipe in ("paper", "modern"):
        config = config_of(Cell(model, distortion, 0), recipe, 1000, "data")
        height, width = config.distortion.size or (28, 28)
        images = InputConfig(channels=1, height=height, width=width, mean=(0.1,), std=(0.3,))
        network = build_model(config.model, images, 10)
        assert sum(values.numel() for values in network.parameters()) == pytest.approx(400_000, rel=0.05)
        assert (network.transformer is not None) == model.startswith("st-")
        norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
        assert bool(norms) == (recipe == "modern")


@pytest.mark.parametrize("model", MODELS)
def test_straight_is_modern_but_for_what_a_transformer_is_asked(model: str) -> None:
    straight, modern = (config_of(Cell(model, "R", 0), recipe, 1000, "data") for recipe in ("straight", "modern"))
    assert straight.optimizer.straighten == (2.0 if model.startswith("st-") else 0.0)
    assert replace(straight, optimizer=replace(straight.optimizer, straighten=0.0)) == modern


@pytest.mark.parametrize(("distortion", "pixels"), [("R", 0.67), ("RTS", 1.0), ("TC", 1.43)])
def test_bent_is_straight_but_for_the_training_pictures(distortion: str, pixels: float) -> None:
    bent, straight = (config_of(Cell("cnn", distortion, 0), recipe, 1000, "data") for recipe in ("bent", "straight"))
    assert bent.distortion == replace(straight.distortion, training_elastic=pixels)
    assert replace(bent, distortion=straight.distortion) == straight


def test_the_papers_recipe_is_the_papers() -> None:
    config = config_of(Cell("st-cnn-affine", "RTS", 2), "paper", 150_000, "data")
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.schedule) == ("sgd", 0.01, "step")
    assert not (optimizer.momentum or optimizer.weight_decay or optimizer.label_smoothing or optimizer.gradient_clip)
    assert (config.trainer.max_steps, config.trainer.batch_size, config.model.pool) == (150_000, 256, 2)


def test_the_papers_numbers_are_all_there() -> None:
    assert set(PAPER) == set(MODELS)
    assert set(DISTORTIONS) == set(COLUMNS)
    assert all({"R", "RTS", "P", "E"} <= set(row) for row in PAPER.values())


def row(model: str, distortion: str, seed: int, error: float) -> dict[str, object]:
    return {
        "model": model,
        "distortion": distortion,
        "seed": seed,
        "error": error,
        "recipe": "modern",
        "budget": "5 steps",
        "parameters": 400_000,
        "images": 1280,
        "seconds": 3.0,
    }


def test_the_table_has_the_papers_number_and_the_mean_and_spread_of_ours(tmp_path: Path) -> None:
    write_table(tmp_path, [row("cnn", "R", 0, 1.0), row("cnn", "R", 1, 1.5), row("st-cnn-affine", "TC", 0, 1.6)])
    text = (tmp_path / "table1.md").read_text()
    assert "| cnn | 1.2 \\| **1.25** ± 0.25 | 0.8 \\| - |" in text
    assert "1.7 \\| **1.60** | 400,000 | 1,280 | 3 |" in text
    assert (tmp_path / "table1.png").read_bytes().startswith(b"\x89PNG")


def test_a_cell_is_trained_once_and_then_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, 600, 60)
    arguments = ["--data", str(tmp_path), "--models", "fcn", "--distortions", "P", "--steps", "4"]
    arguments += ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(arguments) == 0
    (found,) = json.loads((tmp_path / "results" / "table1.json").read_text())
    assert (found["model"], found["distortion"], found["images"]) == ("fcn", "P", 1024)
    monkeypatch.setattr("training.experiments.train_in.run_module", lambda *_: pytest.fail("trained again"))
    (tmp_path / "results" / "table1.md").unlink()
    assert main(arguments) == 0
    assert (tmp_path / "results" / "table1.md").exists()
    (tmp_path / "results" / "table1.json").unlink()
    assert main(arguments) == 0  # from the run that is finished
    assert json.loads((tmp_path / "results" / "table1.json").read_text()) == [found]


def test_a_cell_that_fails_is_named_and_the_next_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []

    def fail(*arguments: str) -> int:
        started.append(arguments)
        return 2

    monkeypatch.setattr("training.experiments.train_in.run_module", fail)
    (tmp_path / "modern" / "2-steps" / "fcn-R-0").mkdir(parents=True)  # left by a kill before anything was in it
    arguments = ["--distortions", "R", "E", "--steps", "2", "--runs", str(tmp_path), "--models", "fcn"]
    assert main([*arguments, "--results", str(tmp_path)]) == 2
    assert len(started) == 2
    assert "error: 2 of 2 cells failed: fcn-R-0, fcn-E-0" in capsys.readouterr().err


def test_a_table_that_is_no_json_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table1.json").write_text("{")
    assert main(["--models", "fcn", "--results", str(tmp_path)]) == 2
    assert f"error: {tmp_path / 'table1.json'} must be a JSON file" in capsys.readouterr().err


def test_what_fails_in_a_cell_does_not_keep_the_others_from_being_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.experiments.train_in.run_module", lambda *_: 2)
    taken = tmp_path / "modern" / "2-steps" / "fcn-R-0"
    taken.mkdir(parents=True)
    (taken / "other").touch()
    arguments = ["--distortions", "R", "E", "--steps", "2", "--runs", str(tmp_path), "--models", "fcn"]
    assert main([*arguments, "--results", str(tmp_path)]) == 2
    assert "error: 2 of 2 cells failed: fcn-R-0, fcn-E-0" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("at_once", ["1", "2"])
def test_sigterm_ends_the_table_and_its_training_in_good_order(tmp_path: Path, at_once: str) -> None:
    write_mnist(tmp_path, 600, 60)
    arguments = ["--data", str(tmp_path), "--models", "fcn", "--distortions", "R", "--steps", "100000"]
    arguments += ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    command = [sys.executable, "-m", "training.experiments.table1", *arguments, "--at-once", at_once]
    run = tmp_path / "runs" / "modern" / "100000-steps" / "fcn-R-0"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_ignoring_ctrl_c) as process:
        assert process.stderr is not None
        while not ((run / "log.txt").exists() and "step " in (run / "log.txt").read_text()):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        told = process.stderr.read()  # which ends when the training has ended too
        assert process.wait(30) == 130
    assert "Traceback" not in told
    with hold(run):  # nobody trains there any more
        pass


@pytest.mark.exhaustive
def test_cells_that_are_trained_at_a_time_share_a_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_mnist(tmp_path, 600, 60)
    arguments = ["--data", str(tmp_path), "--models", "fcn", "--distortions", "R", "E", "P", "--steps", "4"]
    arguments += ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results"), "--at-once", "2"]
    broken = tmp_path / "runs" / "modern" / "4-steps" / "fcn-E-0"
    broken.mkdir(parents=True)
    (broken / "other").touch()
    assert main(arguments) == 2
    told = caplog.text
    assert f"fcn-E-0 failed ({tmp_path / 'runs' / 'fcn-E-0.log'}); going on with the next" in told
    assert "a new run folder must not exist, or be empty" in (tmp_path / "runs" / "fcn-E-0.log").read_text()
    rows = json.loads((tmp_path / "results" / "table1.json").read_text())
    assert {row["distortion"] for row in rows} == {"R", "P"}
    (broken / "other").unlink()
    assert main(arguments) == 0
    assert len(json.loads((tmp_path / "results" / "table1.json").read_text())) == 3


def _ignoring_ctrl_c() -> None:
    """As a shell starts what it runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
