"""`python -m training.invariance`, on a small model file with random weights and the digits it names."""

import json
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image

import training.data
from stn import InputConfig, ModelConfig, ModelInfo, build_model, save_model
from stn.config import to_dict
from stn.invariance import MOVEMENTS, report
from training.config import DataConfig, DistortionConfig
from training.data.labelled import DataSet
from training.invariance import main
from training.invariance_config import InvarianceConfig, MovementName
from training.invariance_data import read_upright
from training.overlay import Overlay, overlay_of
from training.presets import digits
from training.trained import Trained, read_trained
from training.trained_ranges import trained_ranges
from training.verdict import kept_shares, verdict


def write(path: Path, transform: str = "affine", classes: int = 10, config: bool = True) -> Path:
    """A model file of the digits, as the preset distorts them."""
    torch.manual_seed(0)
    network = ModelConfig(transform=transform, filters=(4,), units=8, size=(20, 20))
    shape = InputConfig(channels=1, height=42, width=42, mean=(0.1,), std=(0.2,))
    provenance = {"data": "digits", "seed": "0", "commit": "abc"}
    if config:
        provenance["config"] = json.dumps(to_dict(digits()))
    model = build_model(network, shape, classes)
    names = tuple(map(str, range(classes)))
    save_model(path, model, ModelInfo(config=network, input=shape, class_names=names, provenance=provenance))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / "tiny.safetensors")


@pytest.fixture(scope="module")
def trained(model: Path) -> Trained:
    return read_trained(model)


def asked(folder: Path, **values: object) -> str:
    path = folder / "request.json"
    path.write_text(json.dumps(values))
    return str(path)


def test_the_movements_that_can_be_asked_for_are_the_librarys() -> None:
    assert get_args(MovementName) == tuple(MOVEMENTS)


def test_a_page_curves_and_all_numbers_are_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = asked(tmp_path, invariance={"images": 30, "movements": ["rotation", "shear"]})
    assert main([str(model), request, "--output", str(tmp_path / "out"), "--json"]) == 0
    printed, written = (
        json.loads(capsys.readouterr().out),
        json.loads((tmp_path / "out" / "invariance.json").read_text()),
    )
    assert printed == {**written, "page": str(tmp_path / "out" / "index.html")}
    turned, sheared = written["movements"]
    assert (turned["name"], turned["trained"], sheared["trained"]) == ("rotation", [-45, 45], [0, 0])
    assert (written["images"], written["size"], written["provenance"]["commit"]) == (30, [42, 42], "abc")
    assert turned["agreement"][turned["sizes"].index(0)] == 1
    assert turned["spread"]["perfect"]["mean"] == 0
    # A fresh transformer is the identity.
    assert turned["spread"]["model"]["percentile_95"] == pytest.approx(turned["spread"]["identity"]["mean"], abs=1e-3)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Invariance: tiny on the test pictures of digits" in page
    assert "from -45 to 45 degrees" in page
    with Image.open(tmp_path / "out" / "curves.png") as curves:
        assert curves.width > 800


def test_without_a_transformer_the_words_say_that_nothing_is_undone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write(tmp_path / "plain.safetensors", "none", config=False)
    request = asked(tmp_path, invariance={"images": 10, "movements": ["shift_x"], "noise": 0.1, "clutter": 2})
    assert main([str(model), request, "--output", str(tmp_path / "out")]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(told) == ["model", "data", "accuracy", "caution", "shift_x", "page"]
    assert "so the ranges below say little" in told["caution"]  # of random weights
    assert told["caution"] in (tmp_path / "out" / "index.html").read_text()
    assert "It was trained" not in told["shift_x"]  # which the file does not say
    spread = told["shift_x"].partition("spread over ")[2].split(" ")[0]
    assert float(spread) > 5
    assert f"({spread} were theta held, {spread} without a transformer, {spread} for" in told["shift_x"]


def test_pictures_are_upright_in_the_middle_and_chosen_by_the_seed(trained: Trained) -> None:
    found = read_upright(trained, {}, InvarianceConfig(images=20))
    digits = training.data.read_digits(DataConfig())
    height, width = digits.images.shape[2:]
    top, left = (42 - height) // 2, (42 - width) // 2
    middle = (found.images * 255).round().byte()[..., top : top + height, left : left + width]
    originals = {picture.numpy().tobytes() for picture in digits.images[digits.test]}
    assert all(picture.numpy().tobytes() in originals for picture in middle)
    assert middle.float().sum() == (found.images * 255).round().sum()  # and black around
    again, others = (read_upright(trained, {}, InvarianceConfig(images=20, seed=seed)) for seed in (0, 1))
    assert torch.equal(found.images, again.images)
    assert not torch.equal(found.images, others.images)
    assert len(read_upright(trained, {}, InvarianceConfig(images=10**6)).images) == len(digits.test)


def test_of_other_pictures_only_their_turning_compares_with_the_training(trained: Trained) -> None:
    found = read_upright(trained, {"name": "digits"}, InvarianceConfig(images=5))
    assert found.images.shape == (5, 1, 42, 42)
    assert found.trained == {"rotation": (-45, 45), "shear": (0, 0), "perspective": (0, 0)}


def test_how_far_training_pictures_were_moved() -> None:
    bent = DistortionConfig(scale=(0.5, 2.0), translation=True, corners=1.0, size=(42, 56))
    assert trained_ranges(bent, (28, 28)) == {
        "rotation": (0, 0),
        "scale": (0.5, 2.0),
        "shift_x": (-25, 25),
        "shift_y": (pytest.approx(-100 / 6), pytest.approx(100 / 6)),
    }
    assert trained_ranges(DistortionConfig(size=(42, 42)), (28, 28))["shift_x"] == (0, 0)


def test_noise_and_clutter_stay_with_their_picture() -> None:
    images = torch.rand(6, 1, 12, 12)
    overlay = Overlay(images, InvarianceConfig(noise=0.1, clutter=3, clutter_size=4))
    grey = torch.full((6, 1, 12, 12), 0.25)
    numbers = torch.arange(6)
    all_ = overlay(grey, numbers)
    assert torch.equal(all_[4:5], overlay(grey[:1], torch.tensor([4])))
    assert not torch.equal(all_[0], all_[1])
    noisy = Overlay(images, InvarianceConfig(noise=0.1))(grey, numbers)
    assert float((noisy - grey).std()) == pytest.approx(0.1, rel=0.1)
    cluttered = Overlay(images, InvarianceConfig(clutter=3, clutter_size=4))(grey, numbers)
    covered = (cluttered != grey).flatten(1).sum(1)
    assert (covered <= 3 * 16).all()
    assert (covered > 0).all()
    assert overlay_of(images, InvarianceConfig()) is None


def test_the_verdict_names_the_ranges() -> None:
    class Half(torch.nn.Module):
        """Sees whether the left half is the brighter one."""

        transformer = None

        def forward(self, images: torch.Tensor) -> object:
            from stn import Classified

            left, right = images[..., :4].sum((1, 2, 3)), images[..., 4:].sum((1, 2, 3))
            return Classified(torch.stack([left, right], dim=1), None)

    images = torch.zeros(1, 1, 8, 8)
    images[..., 1] = 1.0
    (measured,) = report(Half(), images, torch.tensor([0]), ["shift_x"]).measured
    assert kept_shares(measured)[0.9] is not None
    words = verdict(measured, {"shift_x": (-10.0, 10.0)})
    assert words.startswith("shift_x: of its accuracy the model keeps 99 % from ")
    assert "It was trained from -10 to 10 % of the width." in words


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set `npz` has a class that no digit has."""

    def read(_: DataConfig) -> DataSet:
        images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
        part = torch.arange(2)
        return DataSet(images, torch.tensor([0, 1, 0, 1]), part, part + 2, ("3", "owl"))

    monkeypatch.setitem(training.data.DATASETS, "npz", read)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": {"name": "npz"}}, "data must have classes that the model knows ('0', '1', "),
        ({"data": {"name": "folder", "root": "nowhere"}}, "data.root must be"),
        ({"invariance": {"movements": ["wobble"]}}, "movements must be one of rotation, scale, "),
        ({"invariance": {"movements": []}}, "movements must be at least one, got ()"),
        ({"invariance": {"images": 0}}, "images must be in [1, 10000000], got 0"),
        ({"invariance": {"noise": -1}}, "noise must be in [0, 10], got -1.0"),
        ({"invariance": {"images": 3, "clutter": 1, "clutter_size": 99}}, "clutter_size must be at most 42"),
        ({"distortion": {}}, "config must be made of data, invariance, got 'distortion'"),
        ({"data": []}, "data must be an object of named fields, got []"),
    ],
)
def test_a_mistake_is_named_in_one_line(
    values: dict[str, object],
    message: str,
    strange: None,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(model), asked(tmp_path, **values), "--output", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("page", ["my own", '<meta name="generator" content="stn report">'])
def test_another_page_is_not_replaced(
    page: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text(page)
    assert main([str(model), "--output", str(tmp_path)]) == 2
    assert "output must be a folder without a page of something else" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == page


def test_without_matplotlib_the_page_says_what_is_missing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "training.invariance_plots", raising=False)
    request = asked(tmp_path, invariance={"images": 3, "movements": ["shear"]})
    assert main([str(model), request, "--output", str(tmp_path / "out")]) == 0
    assert "Without matplotlib there are no plots" in (tmp_path / "out" / "index.html").read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "invariance.json"}
