"""Whole training runs, small ones, through the command that users and jobs call."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from stn import ModelConfig, load_model, read_model_info
from stn.config import to_dict
from tests.training.runs import same_weights, small, train, trained, trained_apart, weights
from training.config import OptimizerConfig
from training.presets import digits
from training.runs import create_run, hold, read_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_apart(tmp_path_factory.mktemp("runs"), small())


def test_a_run_writes_all_of_its_folder(finished: Path) -> None:
    names = {str(path.relative_to(finished)) for path in finished.rglob("*")}
    assert {
        "config.json",
        "log.txt",
        "metrics.jsonl",
        "result.json",
        "model.safetensors",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "samples/step-000010.png",
        "samples/step-000020.png",
    } <= names
    assert any(name.startswith("tensorboard/events") for name in names)


def test_the_metrics_file_has_a_line_per_epoch(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "step", "time"} <= set(lines[0])


def test_the_rate_that_is_told_is_that_of_the_step_before(finished: Path) -> None:
    rate = read_config(finished / "config.json").optimizer.learning_rate
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=20, cycle_momentum=False)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["learning_rate"] for line in lines] == pytest.approx([rates[9], rates[19]])


def test_the_model_file_says_where_it_comes_from(finished: Path) -> None:
    info = read_model_info(finished / "model.safetensors")
    result = json.loads((finished / "result.json").read_text())
    assert info.scores == pytest.approx(result["scores"])
    assert info.class_names == tuple("0123456789")
    assert info.input.size == (42, 42)
    assert {"command", "commit", "seed", "data", "torch"} <= set(info.provenance)
    config = json.loads(info.provenance["config"])
    assert config["distortion"] == json.loads(json.dumps(to_dict(small().distortion)))
    assert not {"root", "cache"} & set(config["data"])  # where this machine keeps them


def test_the_model_file_holds_the_best_checkpoint(finished: Path) -> None:
    best = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    for name, tensor in weights(finished).items():
        assert torch.equal(best[f"model.{name}"], tensor)


def test_a_log_that_is_no_terminal_has_lines_and_no_bar(finished: Path) -> None:
    log = (finished / "log.txt").read_text()
    assert "step 20/20" in log
    assert "\r" not in log


def test_steps_and_validations_have_lines_of_their_own(tmp_path: Path) -> None:
    run = create_run(tmp_path, small())
    script = (
        "import sys; from training.callbacks import Progress; from training.__main__ import main; "
        "Progress.__init__.__defaults__ = (0.0,); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", script, "--resume", str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for text in (done.stderr, (run / "log.txt").read_text()):
        assert "step 3/20, loss" in text
        assert "in this step" in text
        for step in (10, 20):
            assert re.search(rf"step {step}/20, loss \S+, validation accuracy", text)


def test_the_same_config_and_seed_give_the_same_weights(finished: Path, tmp_path: Path) -> None:
    assert same_weights(finished, trained(tmp_path, small()))


def test_an_interrupted_run_ends_in_good_order_and_can_be_resumed(tmp_path: Path) -> None:
    run = create_run(tmp_path, small(200))
    process = subprocess.Popen(
        [sys.executable, "-m", "training", "--resume", str(run)], stderr=subprocess.PIPE, text=True
    )
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait(30) == 130
    process.stderr.close()
    assert "Traceback" not in errors
    assert not (run / "result.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive), signal.SIGTERM])
def test_a_run_that_is_stopped_in_its_test_is_not_finished(tmp_path: Path, number: signal.Signals) -> None:
    run = create_run(tmp_path, small())
    script = (
        "import os, sys; from training.module import ClassificationModule; from training.__main__ import main; "
        f"ClassificationModule.test_step = lambda *_: os.kill(os.getpid(), {int(number)}); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", script, "--resume", str(run)], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert not (run / "result.json").exists()
    assert train("--resume", run).returncode == 0
    assert (run / "result.json").exists()


def test_a_run_needs_no_folder_for_temporary_files_and_clears_what_a_kill_left(tmp_path: Path) -> None:
    run = create_run(tmp_path, small(1))
    (run / "checkpoints").mkdir()
    left = run / "checkpoints" / ".last.ckpt.abc123"
    left.write_bytes(b"half")
    (run / ".not.ours").mkdir()
    script = (
        "import sys, tempfile; from training.__main__ import main; "
        "tempfile.tempdir = '/nowhere'; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", script, "--resume", str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not left.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": {"learnin_rate": 1.0}}, "optimizer.learnin_rate is not a field of OptimizerConfig"),
        ({"trainer": {"max_epochs": 0}}, "trainer.max_epochs must be in [1, 1000000], got 0"),
        (
            {"data": {"name": "mnist", "root": "nowhere", "download": False}},
            "data.root must be a folder with the MNIST",
        ),
        ({"model": {"filters": [4] * 8}}, "filters must be few enough"),
        ({"optimizer": {"learning_rate": 10**400}}, "optimizer.learning_rate must be a number"),
        ({"trainer": {"accelerator": "gpu"}}, "trainer.accelerator must be auto or cpu where there is no GPU"),
    ],
)
def test_a_mistake_in_the_config_is_one_line_and_exit_code_2(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**to_dict(small()), **change}))
    done = train(config, "--runs", tmp_path / "runs", CUDA_VISIBLE_DEVICES="")  # as on a machine without a GPU
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_run_with_other_networks_and_stabilisers_writes_a_model_and_its_penalty(tmp_path: Path) -> None:
    model = ModelConfig(
        classifier="fcn",
        transform="thin_plate_spline",
        units=16,
        padding="border",
        localization_rate=0.1,
        identity_penalty=0.1,
        theta_to_classes=True,
    )
    run = trained(tmp_path, dataclasses.replace(small(1), model=model))
    assert json.loads((run / "metrics.jsonl").read_text())["train/penalty"] >= 0
    assert load_model(run / "model.safetensors")(torch.rand(2, 1, 42, 42)).transformed.theta.shape == (2, 32)


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path: Path) -> None:
    done = train("--resume", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: config must be a file that exists, got '{tmp_path}/config.json'\n"


def test_no_two_processes_train_in_one_run_folder(tmp_path: Path) -> None:
    run = create_run(tmp_path, small())
    with hold(run):
        done = train("--resume", run)
    assert done.returncode == 2
    assert "run must be one that no other process is running" in done.stderr


def test_a_run_folder_holds_its_config(tmp_path: Path) -> None:
    assert read_config(create_run(tmp_path, small()) / "config.json") == small()


def test_two_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    assert create_run(tmp_path, small()) != create_run(tmp_path, small())


def test_training_needs_neither_fastapi_nor_tyro_nor_pydantic() -> None:
    code = (
        "import sys; import training.fit, training.__main__; "
        "print([m for m in ('fastapi', 'tyro', 'pydantic', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_the_preset_digits_learns_them_in_a_third_of_its_time(tmp_path: Path) -> None:
    preset = digits()
    shorter = dataclasses.replace(preset, trainer=dataclasses.replace(preset.trainer, max_epochs=25))
    # The whole preset has 0.6 to 1.1 % of errors; one of the 359 test digits is 0.28 %.
    assert read_model_info(trained(tmp_path, shorter) / "model.safetensors").scores["test/accuracy"] >= 0.96


@pytest.mark.parametrize(
    ("precision", "optimizer"),
    [
        ("bfloat16", OptimizerConfig()),
        ("float16", OptimizerConfig(gradient_clip=1.0)),
        ("float32", OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0.9, schedule="cosine")),
        ("float32", OptimizerConfig(name="sgd", schedule="step", gradient_clip=0.1)),
    ],
)
def test_other_precisions_optimisers_and_schedules_train(
    tmp_path: Path, precision: str, optimizer: OptimizerConfig
) -> None:
    config = dataclasses.replace(small(max_steps=4, precision=precision), optimizer=optimizer)
    assert all(tensor.isfinite().all() for tensor in weights(trained(tmp_path, config)).values())
