import torch

from training.config import DataConfig, DistortionConfig
from training.contact_sheet import describe, distort_rows
from training.data import DATASETS
from training.pictures import distortion_sheet
from training.recipes import DISTORTIONS


def test_a_sheet_has_a_row_for_each_config_and_the_same_pictures_in_each() -> None:
    data = DATASETS["digits"](DataConfig())
    rows = distort_rows(data, {"original": DistortionConfig(), **DISTORTIONS}, 4)
    assert list(rows) == ["original", *DISTORTIONS]
    assert torch.equal(rows["original"][0], data.images[data.train[0]] / 255)
    assert torch.equal(rows["original"][3], data.images[data.train[-1]] / 255)
    assert rows["TC"].shape == (4, 1, 60, 60)
    sheet = distortion_sheet(rows, {name: [] for name in rows})
    narrower = distortion_sheet({name: images[:3] for name, images in rows.items()}, {name: [] for name in rows})
    assert (sheet.width - narrower.width, sheet.height) == (118, 6 * 118 + 6)


def test_the_seed_decides_what_is_drawn() -> None:
    data, config = DATASETS["digits"](DataConfig()), {"E": DISTORTIONS["E"]}
    first, again, other = (distort_rows(data, config, 2, seed)["E"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_config_is_described_in_the_order_of_its_steps() -> None:
    assert describe(DistortionConfig()) == ["as they are"]
    assert describe(DISTORTIONS["TC"]) == ["in 60x60 pixels", "anywhere in the image", "with 6 pieces of 6x6 pixels"]
    further = DistortionConfig(elastic=3.0, training_elastic=4.0)
    assert describe(further.in_training) == ["4x4 points moved by about 5 pixels"]
    assert describe(DISTORTIONS["P"]) == ["scaled by 0.75 to 1", "corners moved by about 5 pixels"]
