"""The filmstrip of a run: the same pictures after every validation, also after a resume."""

import base64
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.training.runs import kill_when, restless, small, train, trained
from tests.training.runs import step_of as step_of_checkpoint
from training.data.batches import FixedBatches
from training.probe import FRAMES, Probe, begin_classes, probe_pictures, tile
from training.probe_folder import frame_name, step_of
from training.runs import create_run


def read(run: Path, name: str) -> dict[str, Any]:
    return json.loads((run / "probe" / name).read_text())


def frames(run: Path) -> dict[int, dict[str, Any]]:
    names = [path.name for path in (run / "probe").iterdir()]
    return {step: read(run, frame_name(step)) for step in sorted(filter(None, map(step_of, names)))}


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


def test_every_validation_leaves_a_frame_of_the_same_pictures(tmp_path: Path) -> None:
    run = trained(tmp_path, small(3))
    pictures = read(run, "pictures.json")["pictures"]
    assert [entry["class"] for entry in pictures] == list("01234567")  # the first of each class
    assert {picture(entry["image"]).size for entry in pictures} == {(42, 42)}
    found = frames(run)
    assert list(found) == [10, 20, 30]
    assert [frame["epoch"] for frame in found.values()] == [1, 2, 3]
    for step, frame in found.items():
        assert frame["step"] == step and len(frame["items"]) == 8
        for item in frame["items"]:
            assert picture(item["transformed"]).size == (20, 20)
            assert len(item["outline"]) == 4
            assert item["class"] in "0123456789" and 0 < item["probability"] <= 1
    first, last = ([item["outline"] for item in found[step]["items"]] for step in (10, 30))
    assert first != last  # the transformer has learnt something
    assert sum(path.stat().st_size for path in (run / "probe").iterdir()) < 60_000


def test_without_a_transformer_the_picture_is_what_was_seen(tmp_path: Path) -> None:
    config = small(1)
    run = trained(tmp_path, dataclasses.replace(config, model=dataclasses.replace(config.model, transform="none")))
    pictures, items = read(run, "pictures.json")["pictures"], frames(run)[10]["items"]
    assert [item["transformed"] for item in items] == [entry["image"] for entry in pictures]
    assert items[0]["outline"] == [[0, 0], [42, 0], [42, 42], [0, 42]]


@pytest.mark.exhaustive
def test_a_run_that_goes_on_has_the_frames_of_one_that_was_not_cut(undisturbed: Path, tmp_path: Path) -> None:
    cut = create_run(tmp_path, restless())
    kill_when(lambda: step_of_checkpoint(cut / "checkpoints" / "last.ckpt") >= 12, cut)
    assert frames(cut)
    assert train("--resume", cut).returncode == 0
    assert read(cut, "pictures.json") == read(undisturbed, "pictures.json")
    assert frames(cut) == frames(undisturbed)


def test_frames_that_will_be_repeated_are_dropped_and_the_number_is_bounded() -> None:
    kept = [number for number in range(1, 100_001) if _has_frame(number, 100_000)]
    assert FRAMES <= len(kept) <= FRAMES + 20
    assert {1, 2, 4, 1024, 100_000} <= set(kept)
    assert [number for number in range(1, FRAMES + 1) if _has_frame(number, FRAMES)] == list(range(1, FRAMES + 1))


def _has_frame(number: int, validations: int) -> bool:
    return Probe(Path("nowhere"), 10, 10 * validations, begin_classes).has_frame(10 * number)


def test_pictures_are_of_as_many_classes_as_there_are() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1)
    labels = torch.tensor([0] * 7 + [2] * 4 + [1])
    for size in (2, 5, 12):
        test = FixedBatches(images, labels, torch.arange(12), size, lambda pictures, _: pictures)
        found, classes = probe_pictures(test, 5)
        assert (found.flatten().tolist(), classes) == ([0, 11, 7, 1, 8], [0, 1, 2, 0, 2])
    assert len(probe_pictures(test, 100)[1]) == 12


def test_a_large_picture_is_shrunk_in_proportion() -> None:
    assert tile(torch.rand(3, 100, 200)).size == (64, 32)
    assert tile(torch.rand(1, 64, 10)).size == (10, 64)
