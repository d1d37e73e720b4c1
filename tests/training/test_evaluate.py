"""`python -m training.evaluate`, on runs and model files, with their own pictures and others."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import training.data
from service.predicting.images import read_picture
from stn import InputConfig, ModelFileError
from tests.service.conftest import encode, picture
from training.config import DataConfig, DistortionConfig, OptimizerConfig
from training.data.labelled import DataSet
from training.evaluate import main
from training.evaluation_data import OWN_TEST, Request, match_classes, read_pictures, read_request, requested_config
from training.fitted import fit_images
from training.trained import read_trained


def command(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "training.evaluate", *map(str, arguments)]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=cwd, env=environment)


def config(folder: Path, **values: object) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return shutil.copytree(trained_run, tmp_path / "run")


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set `npz` has three classes of the digits, in another order, as colour pictures of another size."""

    def read(_: DataConfig) -> DataSet:
        digits = training.data.read_digits(DataConfig())
        names = ("7", "0", "3")
        kept = torch.cat([(digits.labels == int(name)).nonzero().flatten() for name in names])
        labels = torch.repeat_interleave(
            torch.arange(3), torch.tensor([int((digits.labels == int(n)).sum()) for n in names])
        )
        images = digits.images[kept].repeat(1, 3, 1, 1)[:, :, 2:, 1:]
        half = torch.arange(len(kept))
        return DataSet(images, labels, half[::2], half[1::2], names)

    monkeypatch.setitem(training.data.DATASETS, "npz", read)


def test_a_training_ends_with_a_report(trained_run: Path) -> None:
    names = {path.name for path in (trained_run / "report").iterdir()}
    assert names == {"index.html", "curves.png", "confusion.png", "mistakes.png"}
    page = (trained_run / "report" / "index.html").read_text()
    assert "tiny on the test pictures of digits" in page
    assert "rotation 45.0" in page
    assert "report" in (trained_run / "log.txt").read_text()


@pytest.mark.slow
def test_a_run_is_evaluated_to_the_score_of_its_test(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "report")
    done = command(run, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer, result = json.loads(done.stdout), json.loads((run / "result.json").read_text())
    assert answer["accuracy"] == pytest.approx(result["scores"]["test/accuracy"], abs=1e-6)  # of float32
    assert answer["loss"] == pytest.approx(result["scores"]["test/loss"], abs=1e-5)
    assert answer["pictures"] == 359
    assert answer["page"] == str(run / "report" / "index.html")
    assert (run / "report" / "curves.png").exists()
    assert sum(entry["pictures"] for entry in answer["classes"]) == 359


def test_a_log_that_is_no_terminal_has_a_small_table_and_no_bar(run: Path, tmp_path: Path) -> None:
    done = command(run / "model.safetensors", "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if not line.startswith("confused"))
    assert list(rows) == ["model", "data", "distortion", "accuracy", "error", "loss", "page"]
    assert rows["data"] == "digits, test: 359 pictures"
    assert rows["page"] == "out/index.html"
    assert "\r" not in done.stderr


def test_an_unfinished_run_is_evaluated_from_its_best_checkpoint(run: Path) -> None:
    finished = read_trained(run)
    (run / "model.safetensors").unlink()
    (run / "result.json").unlink()
    unfinished = read_trained(run)
    assert unfinished.file.name == "best.ckpt"
    assert unfinished.info.class_names == finished.info.class_names
    assert unfinished.info.input == finished.info.input
    for name, tensor in unfinished.model.state_dict().items():
        assert torch.equal(tensor, finished.model.state_dict()[name])
    (run / "checkpoints" / "best.ckpt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"best.ckpt must be a checkpoint of the run's network"):
        read_trained(run)
    (run / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(ValueError, match="run must have a model file or a checkpoint"):
        read_trained(run)


def test_classes_are_matched_by_name(trained_run: Path, three: None) -> None:
    trained = read_trained(trained_run)
    pictures = read_pictures(trained, Request({"name": "npz"}, {}, "all"))
    images, labels = (torch.cat(parts) for parts in list(zip(*pictures.batches(), strict=True))[:2])
    assert images.shape[1:] == (1, 42, 42)
    assert sorted(labels.unique().tolist()) == [0, 3, 7]
    digits = training.data.read_digits(DataConfig())
    for label in (0, 3, 7):
        shown = fit_images(digits.images[digits.labels == label][:, :, 2:, 1:].float() / 255, trained.info.input)
        found = images[labels == label]
        assert torch.equal(found.sum((1, 2, 3)).sort().values, shown.sum((1, 2, 3)).sort().values)


@pytest.mark.parametrize(("part", "count"), [("test", 270), ("train", 243), ("validation", 27), ("all", 540)])
def test_a_part_is_what_training_makes_of_the_data(part: str, count: int, trained_run: Path, three: None) -> None:
    pictures = read_pictures(read_trained(trained_run), Request({"name": "npz"}, {"rotation": 10}, part))
    assert abs(len(pictures) - count) <= 6  # the three classes have 178 to 183 pictures, each parted by itself
    assert sum(len(labels) for _, labels, *_ in pictures.batches()) == len(pictures)


def test_a_class_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(ValueError, match=r"data must have classes that the model knows \('cat', 'dog'\), got 'wolf'"):
        match_classes(("dog", "wolf"), ("cat", "dog"))
    with pytest.raises(ValueError, match=r"got 'x{39}…'"):
        match_classes(("x" * 300,), ("cat", "dog"))


def test_pictures_need_not_be_distorted_where_the_training_straightened_them(trained_run: Path) -> None:
    trained = read_trained(trained_run)
    assert trained.config is not None
    straightened = dataclasses.replace(trained.config, optimizer=OptimizerConfig(straighten=1.0))
    trained = trained._replace(config=straightened)
    assert requested_config(trained, Request({"name": "digits"}, {}, "test")).distortion == DistortionConfig()
    still = {"rotation": 0, "scale": [1, 1], "translation": False}
    assert requested_config(trained, Request({}, still, "test")).distortion.rotation == 0


def test_pictures_that_nothing_learns_from_are_not_bent_as_those_of_the_training(trained_run: Path) -> None:
    trained = read_trained(trained_run)
    assert trained.config is not None
    bent = dataclasses.replace(trained.config.distortion, training_elastic=1.0)
    further = trained._replace(config=dataclasses.replace(trained.config, distortion=bent))
    assert requested_config(further, OWN_TEST).distortion == trained.config.distortion
    message = "distortion.training_elastic must be 0 where nothing is trained; `elastic` bends these pictures, got 1"
    with pytest.raises(ValueError, match=message):
        requested_config(trained, Request({}, {"training_elastic": 1}, "test"))


def test_data_that_are_named_are_not_distorted_and_those_of_the_run_are(trained_run: Path) -> None:
    trained = read_trained(trained_run)
    assert trained.config is not None
    own = requested_config(trained, Request({}, {"rotation": 90}, "test"))
    assert own.distortion == dataclasses.replace(trained.config.distortion, rotation=90.0)
    moved = requested_config(trained, Request({"root": "elsewhere"}, {}, "test"))
    assert (moved.data.root, moved.distortion) == ("elsewhere", trained.config.distortion)
    other = requested_config(trained, Request({"name": "folder", "root": "photos"}, {"scale": [1, 2]}, "test"))
    assert other.distortion == DistortionConfig(scale=(1.0, 2.0))
    assert (other.data.size, other.data.channels) == ((42, 42), "grey")  # decoded once, at the network's size
    assert other.seed == trained.config.seed


def test_a_model_file_alone_takes_the_data_and_distortion_that_its_provenance_names(run: Path, tmp_path: Path) -> None:
    alone = shutil.copy(run / "model.safetensors", tmp_path / "alone.safetensors")
    trained, whole = read_trained(alone), read_trained(run).config
    assert whole is not None
    found = requested_config(trained, OWN_TEST)
    assert (found.data.name, found.distortion, found.seed) == ("digits", whole.distortion, whole.seed)
    older = trained._replace(info=dataclasses.replace(trained.info, provenance={"data": "digits", "seed": "3"}))
    assert requested_config(older, OWN_TEST).distortion == DistortionConfig()
    strange = {"data": "digits", "config": '{"name": "a", "later": 1}'}
    newer = trained._replace(info=dataclasses.replace(trained.info, provenance=strange))
    with pytest.raises(ValueError, match="the config of its training cannot be read .later is not a field"):
        requested_config(newer, OWN_TEST)
    unknown = trained._replace(info=dataclasses.replace(trained.info, provenance={"data": "folder"}))
    with pytest.raises(ValueError, match=r"does not say where its pictures lie: --data.name folder --data.root"):
        requested_config(unknown, Request({}, {}, "test"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "config must be a JSON file"),
        ("[]", "config must be an object"),
        ('{"dat": {}}', "config must be made of data, distortion, part, got 'dat'"),
        ('{"data": []}', "data must be an object"),
        ('{"part": "tset"}', "part must be one of test, train, validation, all, got 'tset'"),
        ('{"distortion": {"rotation": 999}}', "distortion.rotation must be in"),
        ('{"data": {"nam": "digits"}}', "data.nam is not a field"),
    ],
)
def test_a_mistake_in_the_config_is_one_line_and_exit_code_2(
    text: str, message: str, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "request.json").write_text(text)
    assert main([str(trained_run), str(tmp_path / "request.json"), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_is_neither_run_nor_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model must be a run folder or a model file"):
        read_trained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError):
        read_trained(tmp_path / "model.safetensors")


def test_a_page_of_something_else_is_found_before_anything_is_read(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text("my own")
    assert main([str(trained_run), str(config(tmp_path, part="all")), "--output", str(tmp_path)]) == 2
    assert "output must be a folder without a page of something else" in capsys.readouterr().err


def test_the_same_file_without_its_folder_writes_into_this_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = (run / "report" / "index.html").stat().st_mtime_ns
    assert main([str(run), str(config(tmp_path, part="validation"))]) == 0
    assert "page        report/index.html" in capsys.readouterr().out
    assert (tmp_path / "report" / "index.html").exists()
    assert (run / "report" / "index.html").stat().st_mtime_ns == before


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(16, 20), (31, 9), (7, 50), (200, 150)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_fitted_as_the_service_fits_them(mode: str, size: tuple[int, int], channels: int) -> None:
    wanted = InputConfig(channels=channels, height=20, width=16, mean=(0.5,) * channels, std=(0.5,) * channels)
    posted = picture(*size, mode)
    values = torch.from_numpy(np.array(posted)).view(size[1], size[0], -1).permute(2, 0, 1)[None].float() / 255
    expected = torch.from_numpy(read_picture(encode(posted), wanted, 10**6).pixels.copy()).float() / 255
    torch.testing.assert_close(fit_images(values, wanted)[0], expected, rtol=0, atol=0)


def test_pictures_of_channels_that_cannot_be_converted_are_refused() -> None:
    wanted = InputConfig(channels=2, height=8, width=8, mean=(0.5,) * 2, std=(0.5,) * 2)
    assert fit_images(torch.rand(1, 2, 8, 8), wanted).shape == (1, 2, 8, 8)
    with pytest.raises(
        ValueError, match="data must have pictures of 2 channels and 8x8 pixels, .* got 3 channels and 9x9"
    ):
        fit_images(torch.rand(1, 3, 9, 9), wanted)


def test_a_request_without_a_file_is_the_networks_own_test() -> None:
    assert read_request(None) == Request({}, {}, "test")


def test_the_sheet_of_a_run_has_theta_below(trained_run: Path) -> None:
    with Image.open(trained_run / "report" / "mistakes.png") as sheet:
        assert sheet.height > 112
    assert "<span>yx " in (trained_run / "report" / "index.html").read_text()
