import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.predicting.images import read_picture
from stn import InputConfig
from tests.training.picture_sets import picture, pixels, read, write_folder
from training.config import DataConfig, TrainingConfig
from training.data.datamodule import DataModule
from training.data.folder import read_folder
from training.fit import check_data_for


def test_each_folder_is_a_class_and_every_picture_keeps_its_pixels(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 5, "dog": 7})
    data = read(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0] * 5 + [1] * 7
    assert data.images.shape == (12, 1, 8, 6)
    assert torch.equal(data.images[0], pixels(picture(8, 6, 0)))
    assert torch.equal(data.images[11], pixels(picture(8, 6, 1006)))


def test_classes_and_pictures_are_in_natural_order(tmp_path: Path) -> None:
    write_folder(tmp_path, {"10": 12, "2": 3, "1b": 3})
    data = read(tmp_path)
    assert data.class_names == ("1b", "2", "10")
    assert torch.equal(data.images[6 + 2], pixels(picture(8, 6, 2)))  # 2.png comes before 10.png


def test_a_set_in_one_part_is_split_by_class_and_the_same_way_each_time(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 20, "dog": 10})
    first, second = read(tmp_path, test=0.3), read(tmp_path, test=0.3, validation=0.4)
    assert first.labels[first.test].bincount().tolist() == [6, 3]
    assert torch.cat([first.train, first.test]).sort().values.tolist() == list(range(30))
    assert torch.equal(first.test, second.test)


def test_folders_train_and_test_are_the_split(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", {"cat": 3, "dog": 4})
    write_folder(tmp_path / "test", {"cat": 1, "dog": 2})
    data = read(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.labels[data.train].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert data.labels[data.test].tolist() == [0, 1, 1]


def test_a_folder_of_pictures_alone_is_one_class_that_suffices_for_an_aligner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path, {"mine": 12})
    (tmp_path / "mine" / "note.txt").write_text("hello")
    data = DataConfig(name="folder", root=str(tmp_path / "mine"), size=(16, 16))
    with caplog.at_level(logging.INFO, "training"):
        found = read_folder(data)
    assert "1 files in" in caplog.text
    assert (found.class_names, len(found.images), found.labels.unique().tolist()) == (("pictures",), 12, [0])
    assert torch.cat([found.train, found.test]).sort().values.tolist() == list(range(12))
    config = TrainingConfig(name="mine", task="align", data=data)
    check_data_for(config, DataModule(config))
    with pytest.raises(ValueError, match=r"data.root must be a set of 2 to 65,536 classes, got \['pictures'\]"):
        check_data_for(dataclasses.replace(config, task="classify"), DataModule(config))


def test_two_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train": 3, "test": 4})
    assert read(tmp_path).class_names == ("test", "train")


def test_formats_sizes_and_colours_may_be_mixed(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index, (suffix, mode) in enumerate(
            [("png", "RGB"), ("PNG", "L"), ("jpg", "RGB"), ("jpeg", "L"), ("webp", "RGB"), ("bmp", "L"), ("gif", "RGB")]
        ):
            picture(9 + index, 20 - index, index, mode).save(tmp_path / name / f"{index}.{suffix}")
        picture(30, 11, 9, "RGB").save(tmp_path / name / "9.tiff")
    data = read(tmp_path)
    assert data.images.shape == (16, 3, 64, 64)
    assert (data.images.flatten(1).amax(1) > 100).all()


def test_pictures_of_one_size_keep_it_and_others_are_brought_to_64x64_or_the_size_asked_for(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3}, size=(10, 14))
    assert read(tmp_path).images.shape[2:] == (10, 14)
    assert read(tmp_path, size=(20, 12)).images.shape[2:] == (20, 12)
    picture(9, 9, 0).save(tmp_path / "cat" / "other.png")
    assert read(tmp_path).images.shape[2:] == (64, 64)


def test_a_common_size_that_no_network_takes_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3}, size=(2, 9))
    with pytest.raises(ValueError, match=r"data.size must be given where the pictures' own is not in .*, got \(2, 9\)"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("fit", "column", "row"),
    [
        ("pad", [0, 0, 0, 0] + [255] * 8 + [0, 0, 0, 0], [255] * 16),  # 32x16 of white: 16x8 in 16x16
        ("crop", [255] * 16, [255] * 16),
        ("stretch", [255] * 16, [255] * 16),
    ],
)
def test_fit_decides_how_proportions_change(tmp_path: Path, fit: str, column: list[int], row: list[int]) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (32, 16), 255).save(tmp_path / name / f"{number}.png")
    image = read(tmp_path, fit=fit, size=(16, 16)).images[0, 0]
    assert image[:, 8].tolist() == column
    assert image[8].tolist() == row


def test_crop_keeps_the_middle_and_stretch_all(tmp_path: Path) -> None:
    image = Image.new("L", (32, 16), 0)
    image.paste(200, (8, 0, 24, 16))  # the middle half of the columns
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            image.save(tmp_path / name / f"{number}.png")
    assert read(tmp_path, fit="crop", size=(16, 16)).images.unique().tolist() == [200]
    stretched = read(tmp_path, fit="stretch", size=(16, 16)).images[0, 0, 8]
    assert stretched[[0, 1, 7, 8, 14, 15]].tolist() == [0, 0, 200, 200, 0, 0]


def test_a_served_picture_equals_the_one_trained_on(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number, size in enumerate([(50, 31), (7, 90), (200, 333), (24, 20)]):
            suffix = ("png", "jpg", "webp", "gif")[number]
            picture(*size, number, "RGB" if suffix != "gif" else "L").save(tmp_path / name / f"{number}.{suffix}")
    for channels, kind in ((1, "grey"), (3, "colour")):
        data = read(tmp_path, size=(24, 20), channels=kind)
        wanted = InputConfig(channels=channels, height=24, width=20, mean=(0.0,) * channels, std=(1.0,) * channels)
        for index, path in enumerate(sorted((tmp_path / "cat").iterdir())):
            served = read_picture(path.read_bytes(), wanted, 10_000_000).pixels
            assert np.array_equal(data.images[index].numpy(), served)


def test_channels_are_grey_where_no_pixel_has_colour(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3})
    for path in tmp_path.glob("*/1.png"):
        Image.open(path).convert("RGB").save(path)  # grey pixels stored in colour
    grey = read(tmp_path)
    assert grey.images.shape[1] == 1
    assert torch.equal(read(tmp_path, channels="colour").images, grey.images.expand(-1, 3, -1, -1))
    image = Image.open(tmp_path / "dog" / "1.png").convert("RGB")
    image.putpixel((2, 2), (1, 2, 3))
    image.save(tmp_path / "dog" / "1.png")
    assert read(tmp_path).images.shape[1] == 3
    assert read(tmp_path, channels="grey").images.shape[1] == 1


def test_exif_transparency_and_sixteen_bits_are_as_in_serving(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3}, size=(8, 8))
    exif = Image.Exif()
    exif[0x0112] = 8  # "turn by 90 degrees anticlockwise to show"
    turned = picture(8, 8, 5)
    turned.save(tmp_path / "cat" / "3.png", exif=exif)
    Image.new("LA", (8, 8), (255, 128)).save(tmp_path / "cat" / "4.png")
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / "cat" / "5.png")
    data = read(tmp_path)
    assert data.images.shape == (9, 1, 8, 8)
    assert torch.equal(data.images[3], pixels(turned.rotate(90)))
    assert data.images[4].unique().tolist() == [128]
    assert data.images[5].unique().tolist() == [255]


def test_pictures_turned_by_exif_have_their_turned_size_in_common(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write_folder(tmp_path, {"cat": 3, "dog": 3}, size=(8, 6))
    picture(6, 8, 0).save(tmp_path / "cat" / "turned.jpg", exif=exif)
    assert read(tmp_path).images.shape[2:] == (8, 6)


def test_hidden_files_and_other_suffixes_are_ignored_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3, ".hidden": 2})
    for name in ("cat/.DS_Store", "cat/notes.txt", "dog/Thumbs.db", "readme.md"):
        (tmp_path / name).write_text("no picture")
    with caplog.at_level(logging.INFO, "training"):
        assert len(read(tmp_path).labels) == 6
    assert f"3 files in {tmp_path} are ignored" in caplog.text
