"""A run knows its pictures again; a trained network is evaluated on whatever pictures there are."""

import json
from pathlib import Path

import pytest

from stn import ModelConfig
from tests.training.picture_sets import picture, write_folder
from tests.training.runs import train, trained
from training.config import DataConfig, TrainerConfig, TrainingConfig
from training.evaluation_data import OWN_TEST, Request, read_pictures
from training.runs import create_run, read_config
from training.trained import read_trained


def config(root: Path | str) -> TrainingConfig:
    return TrainingConfig(
        name="animals",
        data=DataConfig(name="folder", root=str(root)),
        model=ModelConfig(localization_filters=2, filters=(2,), units=4),
        trainer=TrainerConfig(max_steps=2, batch_size=4, accelerator="cpu"),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("animals")
    write_folder(root, {"cat": 6, "dog": 6}, size=(12, 12))
    return trained(tmp_path_factory.mktemp("runs"), config(root))


def test_a_run_is_neither_resumed_nor_tested_with_other_pictures(run: Path) -> None:
    root = Path(read_config(run / "config.json").data.root)
    network = read_trained(run)
    assert len(read_pictures(network, OWN_TEST)) == 2
    more = root / "cat" / "more.png"
    picture(12, 12, 99).save(more)
    message = r"data must be the 12 pictures of 2 classes that the run began with \(.*data.json\), got 13 of 2"
    with pytest.raises(ValueError, match=message):
        read_pictures(network, OWN_TEST)
    assert len(read_pictures(network, Request({"root": str(root)}, {}, "all"))) == 13  # asked for in so many words
    (result := run / "result.json").rename(run / "kept")
    done = train("--resume", run)
    (run / "kept").rename(result)
    assert done.returncode == 2
    assert "error: data must be the 12 pictures" in done.stderr
    more.unlink()
    first = root / "cat" / "0.png"
    before = first.read_bytes()
    picture(12, 12, 98).save(first)
    with pytest.raises(ValueError, match="got 12 of 2, some of them others"):
        read_pictures(network, OWN_TEST)
    first.write_bytes(before)
    assert len(read_pictures(network, OWN_TEST)) == 2


def test_a_run_finds_its_pictures_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = create_run(Path("runs"), config("animals"))
    assert read_config(run / "config.json").data.root == str(tmp_path / "animals")


@pytest.mark.parametrize(("classes", "count"), [({"cat": 1}, 1), ({"dog": 2, "cat": 1}, 3)])
def test_few_pictures_of_some_classes_are_enough_to_evaluate(
    run: Path, tmp_path: Path, classes: dict[str, int], count: int
) -> None:
    write_folder(tmp_path, classes, size=(20, 9))
    request = Request({"name": "folder", "root": str(tmp_path)}, {}, "all")
    pictures = read_pictures(read_trained(run), request)
    assert len(pictures) == count
    assert sum(len(batch.labels) for batch in pictures.batches()) == count


def test_a_part_without_pictures_is_named(run: Path, tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 1}, size=(12, 12))
    request = Request({"name": "folder", "root": str(tmp_path)}, {}, "train")
    with pytest.raises(ValueError, match="data must be a set with pictures in part 'train', got 'none'"):
        read_pictures(read_trained(run), request)


def test_the_fit_of_the_training_is_that_of_what_comes_later(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", {"cat": 6, "dog": 6}, size=(12, 12))
    whole = config(tmp_path / "data")
    values = {"name": "folder", "root": str(tmp_path / "data"), "fit": "crop"}
    run = trained(
        tmp_path, TrainingConfig(name="a", data=DataConfig(**values), model=whole.model, trainer=whole.trainer)
    )  # type: ignore[arg-type]
    assert read_trained(run).info.input.fit == "crop"
    found = read_pictures(
        read_trained(run / "model.safetensors"), Request({"name": "folder", "root": values["root"]}, {}, "all")
    )
    assert found.config.data.fit == "crop"


def test_pictures_that_no_longer_fit_after_distortion_are_told_of(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", {"cat": 6, "dog": 6}, size=(40, 40))
    path = tmp_path / "config.json"
    values = {
        "name": "a",
        "data": {"name": "folder", "root": str(tmp_path / "data")},
        "distortion": {"size": [24, 24], "scale": [0.7, 1.0]},
        "model": {"localization_filters": 2, "filters": [2], "units": 4},
        "trainer": {"max_steps": 2, "batch_size": 4, "accelerator": "cpu"},
    }
    path.write_text(json.dumps(values))
    done = train(path, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert "every picture is cut: 40x40, scaled by 0.7 or more, does not fit into distortion.size 24x24" in done.stderr
