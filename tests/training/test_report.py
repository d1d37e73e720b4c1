"""Scores and mistakes, and the page that shows them."""

import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from stn import Classifier, InputConfig, ModelConfig, build_model, load_model
from training.data.batches import Batch
from training.data.datamodule import DataModule
from training.evaluation import Evaluation, class_scores, evaluate, most_confused, wilson_interval
from training.lettering import class_label
from training.metrics_file import read_metrics
from training.page import REPORT
from training.pictures import to_pil
from training.plots import curves
from training.report import write_report, write_run_report
from training.report_page import Shown, report_page
from training.runs import read_config

HOSTILE = '<script>alert("x")</script>&amp;'
NAMES = (HOSTILE, "سلام", "高い", "x" * 300, "$a_{", " ", "ordinary\n")


def network(
    classes: int, transform: str = "affine", channels: int = 1, size: tuple[int, int] = (20, 16), seed: int = 0
) -> Classifier:
    """With random weights, and a theta that is not the identity."""
    torch.manual_seed(seed)
    shape = InputConfig(channels=channels, height=size[0], width=size[1], mean=(0.5,) * channels, std=(0.3,) * channels)
    config = ModelConfig(transform=transform, filters=(4,), units=8, size=(12, 14), lattice=(2, 2))
    return build_model(config, shape, classes).eval()


def evaluation(model: Classifier, names: tuple[str, ...], count: int = 40, right: bool = False) -> Evaluation:
    """Of random pictures with random labels, or with those that the model gives."""
    torch.manual_seed(1)
    channels = len(model.normalise.mean)
    images = torch.rand(count, channels, 20, 16)
    with torch.no_grad():
        labels = model(images).logits.argmax(-1) if right else torch.randint(len(names), (count,))
    return evaluate(model, batches(images, labels), names)


def batches(images: torch.Tensor, labels: torch.Tensor, size: int = 16) -> list[Batch]:
    return [Batch(*pair) for pair in zip(images.split(size), labels.split(size), strict=True)]


def numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class-{index}" for index in range(count))


class Texts(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_an_evaluation_has_the_scores_that_a_loop_finds() -> None:
    model, names = network(3), ("cat", "dog", "owl")
    result = evaluation(model, names)
    torch.manual_seed(1)
    images = torch.rand(40, 1, 20, 16)
    labels = torch.randint(3, (40,))
    with torch.no_grad():
        logits, transformed = model(images)
    assert result.accuracy == pytest.approx(float((logits.argmax(-1) == labels).double().mean()))
    assert result.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))
    torch.testing.assert_close(result.theta, transformed.theta)
    for label in range(3):
        for predicted in range(3):
            expected = int(((labels == label) & (logits.argmax(-1) == predicted)).sum())
            assert result.confusion[label, predicted] == expected
    score = class_scores(result)[1]
    assert score.recall == pytest.approx(float((logits.argmax(-1) == labels)[labels == 1].double().mean()))
    assert score.pictures == int((labels == 1).sum())


def test_bytes_and_the_floats_of_them_score_the_same() -> None:
    model, pictures = network(3), torch.randint(256, (9, 1, 20, 16), dtype=torch.uint8)
    labels = torch.arange(9) % 3
    both = [evaluate(model, batches(images, labels), numbered(3)) for images in (pictures, pictures.float() / 255)]
    assert torch.equal(both[0].probabilities, both[1].probabilities)


def test_the_worst_are_the_mistakes_of_highest_loss_in_order() -> None:
    result = evaluation(network(3), numbered(3))
    wrong = result.predicted != result.labels
    expected = sorted(result.losses[wrong].tolist(), reverse=True)[:24]
    assert result.losses[result.worst].tolist() == expected
    assert wrong[result.worst].all()
    assert result.images.shape == (len(expected), 1, 20, 16)


def test_without_a_mistake_the_worst_are_the_least_certain() -> None:
    result = evaluation(network(3), numbered(3), right=True)
    assert result.mistakes == 0
    certain = result.probabilities.max(-1).values
    assert certain[result.worst].tolist() == sorted(certain.tolist())[:24]


def test_no_picture_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="data must have at least 1 picture"):
        evaluate(network(2), [], numbered(2))


@pytest.mark.parametrize(("mistakes", "low", "high"), [(0, 0.0, 0.0370), (10, 0.0552, 0.1744), (100, 0.9630, 1.0)])
def test_the_interval_is_wilsons(mistakes: int, low: float, high: float) -> None:
    # (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n) by hand, to 4 digits.
    assert wilson_interval(mistakes, 100) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("classes", [2, 30, 150])
def test_a_report_of_few_or_many_classes_has_all_its_files(classes: int, tmp_path: Path) -> None:
    model = network(classes)
    result = evaluation(model, numbered(classes), 400)
    page = write_report(tmp_path / "report", "t", model, result)
    assert {path.name for path in page.parent.iterdir()} == {"index.html", "confusion.png", "mistakes.png"}
    with Image.open(tmp_path / "report" / "confusion.png") as plot:
        assert 300 < plot.width < 1500
        assert plot.height < 1500
    text = Texts(page.read_text()).text
    assert "Most confused" in text
    assert all(name in text for name in numbered(classes))
    assert len(most_confused(result)) <= 15


@pytest.mark.parametrize(
    ("transform", "channels", "tiles"), [("none", 1, 1), ("affine", 3, 2), ("thin_plate_spline", 1, 2)]
)
def test_a_mistake_shows_the_input_and_what_the_transformer_made_of_it(
    transform: str, channels: int, tiles: int, tmp_path: Path
) -> None:
    model = network(3, transform, channels)
    result = evaluation(model, numbered(3))
    page = write_report(tmp_path, "t", model, result).read_text()
    assert page.count("<figure>") == len(result.worst) == 24
    assert page.count('alt="input') == 24
    assert page.count('alt="transformed image"') == 24 * (tiles - 1)
    if model.transformer:
        assert f"<span>{model.transformer.transform.parameter_names[0]} " in page


def test_without_a_mistake_the_page_says_so(tmp_path: Path) -> None:
    model = network(3)
    text = Texts(write_report(tmp_path, "t", model, evaluation(model, numbered(3), right=True)).read_text()).text
    assert "There are no mistakes" in text
    assert "No class is taken for another" in text
    assert "100.00 %" in text


def test_whatever_a_class_is_called_it_stays_text(tmp_path: Path) -> None:
    model = network(len(NAMES))
    facts = {HOSTILE: HOSTILE, "bad": "\udc80"}
    page = write_report(tmp_path, HOSTILE, model, evaluation(model, NAMES, 200), facts=facts).read_text()
    parsed = Texts(page)
    assert "script" not in parsed.tags
    assert HOSTILE in parsed.text
    assert "سلام" in parsed.text
    assert f'title="{"x" * 300}"' in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_plot_names_a_class_that_its_font_cannot_draw_by_its_number() -> None:
    labels = [class_label(name, index) for index, name in enumerate(NAMES)]
    assert labels == [HOSTILE[:17] + "…", "class 1", "class 2", "x" * 17 + "…", "$a_{", "class 5", "class 6"]


def test_curves_come_of_the_metrics_file_and_stand_what_a_kill_left(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(
        '{"step": 1, "train/loss": 2.0, "val/loss": NaN, "learning_rate": 0.1}\n'
        '{"step": 2, "val/accuracy": 0.5}\n[]\n{"step": 3, "train/lo'
    )
    assert [line["step"] for line in read_metrics(metrics)] == [1, 2]
    assert [panel.get_title(loc="left") for panel in curves(read_metrics(metrics)).axes] == [
        "loss",
        "accuracy",
        "learning rate",
    ]
    model = network(2)
    page = write_report(tmp_path / "a", "t", model, evaluation(model, numbered(2)), metrics)
    assert (page.parent / "curves.png").read_bytes().startswith(b"\x89PNG")
    write_report(tmp_path / "a", "t", model, evaluation(model, numbered(2)))
    assert not (page.parent / "curves.png").exists()  # nothing is left of the report before


def test_without_matplotlib_the_page_is_written_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "training.plots")
    model = network(2)
    page = write_report(tmp_path, "t", model, evaluation(model, numbered(2)))
    assert "Without matplotlib there are no plots" in Texts(page.read_text()).text
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "mistakes.png"}


def test_a_page_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my own")
    model = network(2)
    with pytest.raises(ValueError, match="output must be a folder without a page of something else"):
        write_report(tmp_path, "t", model, evaluation(model, numbered(2)))
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_report_that_cannot_be_written_is_logged_and_the_run_goes_on(
    trained_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    (run / "report").write_text("a file where the folder should be")
    model, data = load_model(run / "model.safetensors"), DataModule(read_config(run / "config.json"))
    write_run_report(run, model, data, {})
    assert "the report could not be written" in caplog.text
    (run / "report").unlink()
    write_run_report(run, model, data, {"test/accuracy": 0.5})
    assert "test/accuracy at the end of training" in (run / "report" / "index.html").read_text()


def test_a_page_is_known_by_its_first_lines() -> None:
    result = evaluation(network(2), numbered(2))
    page = report_page("t" * 300, result, {}, [Shown([b""], "a", "b", 0.5, {})], {})
    assert REPORT in page[:1000]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_image_of_any_channels_is_a_picture(channels: int) -> None:
    assert to_pil(torch.rand(channels, 5, 7)).size == (7, 5)


@pytest.mark.parametrize("size", [(4, 4), (4, 400), (300, 20)])
def test_thumbnails_come_of_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    model = network(2, size=size)
    result = evaluate(model, [Batch(torch.rand(3, 1, *size), torch.tensor([0, 1, 0]))], numbered(2))
    write_report(tmp_path, "t", model, result)
    with Image.open(tmp_path / "mistakes.png") as sheet:
        assert sheet.width >= 2 * 112
