import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.images import read_picture
from stn import InputConfig
from tests.training.picture_sets import picture, read, write_folder


def pixels(image: Image.Image) -> torch.Tensor:
    """(C, H, W) bytes."""
    values = torch.from_numpy(np.array(image))
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


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
            assert torch.equal(data.images[index].float() / 255, served)


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


def bomb() -> bytes:
    """A PNG of 100 bytes that claims 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_the_3_corrupt_ones_of_300_are_named_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path, {"cat": 149, "dog": 148})
    picture(80, 60, 1, "RGB").save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "whole.jpg").unlink()
    (tmp_path / "cat" / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "dog" / "text.png").write_text("hello")
    (tmp_path / "dog" / "nothing.png").write_bytes(b"")
    with caplog.at_level(logging.INFO, "training"):
        found = read(tmp_path, size=(8, 6), channels="grey")
    assert len(found.images) == len(found.labels) == 297
    assert found.labels.bincount().tolist() == [149, 148]
    assert torch.cat([found.train, found.test]).sort().values.tolist() == list(range(297))
    for index in (0, 148, 149, 296):
        number = index if index < 149 else 1000 + index - 149
        assert torch.equal(found.images[index], pixels(picture(8, 6, number)))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        "3 of 300 pictures cannot be read and are left out:",
        next(line for line in warnings if line.startswith("cat/truncated.jpg: the image is damaged or incomplete")),
        "dog/nothing.png: the file is empty",
        "dog/text.png: the image must be one of PNG, JPEG, WEBP, GIF, BMP, TIFF; these bytes are none of them",
    ]


def test_corrupt_pictures_do_not_change_size_or_channels(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3})
    (tmp_path / "cat" / "text.png").write_text("hello")
    assert read(tmp_path).images.shape == (6, 1, 8, 6)


def test_no_more_than_20_corrupt_pictures_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3})
    for number in range(25):
        (tmp_path / "cat" / f"bad{number}.png").write_text("hello")
    read(tmp_path)
    messages = [record.getMessage() for record in caplog.records]
    assert sum(message.startswith("cat/bad") for message in messages) == 20
    assert messages[-1] == "and 5 more"


def test_a_decompression_bomb_is_a_corrupt_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3})
    (tmp_path / "cat" / "bomb.png").write_bytes(bomb())
    assert len(read(tmp_path).labels) == 6
    assert "cat/bomb.png: the image must have at most 89,478,485 pixels, got far more" in caplog.text


def test_a_picture_by_another_suffix_is_still_one(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3})
    picture(8, 6, 0).save(tmp_path / "cat" / "really.png", "BMP")
    assert len(read(tmp_path).labels) == 7


def test_a_format_that_is_not_named_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path, {"cat": 3, "dog": 3})
    picture(8, 6, 0).save(tmp_path / "cat" / "really.png", "PPM")
    assert len(read(tmp_path).labels) == 6
    assert "cat/really.png: the image must be one of PNG, JPEG, WEBP, GIF, BMP, TIFF" in caplog.text


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, r"data.root must be a folder with at least 2 class folders, got \[\]"),
        ({"cat": 5}, r"data.root must be a folder with at least 2 class folders, got \['cat'\]"),
        (
            {"cat": 5, "dog": 0},
            r"whose class folders all hold pictures \(.png, .*\), got none among 0 files and folders in 'dog'",
        ),
        ({"cat": 5, "dog": 1}, r"at least 2 readable pictures of every class for training .*, got 0 of 'dog'"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_the_reason(
    tmp_path: Path, classes: dict[str, int], message: str
) -> None:
    write_folder(tmp_path, classes)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data.root must be a folder with one folder for each class, got '.*nowhere'"):
        read(tmp_path / "nowhere")


def test_a_class_whose_pictures_are_all_corrupt_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 4, "dog": 4})
    for path in (tmp_path / "dog").iterdir():
        path.write_text("hello")
    with pytest.raises(ValueError, match=r"2 readable pictures of every class for training .*, got 0 of 'dog'"):
        read(tmp_path)


def test_all_pictures_being_corrupt_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 4, "dog": 4})
    for path in tmp_path.glob("*/*.png"):
        path.write_text("hello")
    for memory in (1.0, 0.0):
        with pytest.raises(ValueError, match="data.root must be a set with at least"):
            read(tmp_path, memory=memory)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ({"cat": 3, "dog": 3, "owl": 3}, {"cat": 1, "dog": 1}, r"missing in test, got \['owl'\]"),
        ({"cat": 3, "dog": 3}, {"cat": 1, "dog": 1, "owl": 1}, r"missing in train, got \['owl'\]"),
        (
            {"cat": 3, "dog": 3},
            {"cat": 1, "dog": 0},
            r"data.root/test must be .*, got none among 0 files and folders in 'dog'",
        ),
        ({"cat": 3, "dog": 1}, {"cat": 1, "dog": 1}, r"2 readable pictures of every class for training .* got 1 of"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, train: dict[str, int], test: dict[str, int], message: str
) -> None:
    write_folder(tmp_path / "train", train)
    write_folder(tmp_path / "test", test)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_a_third_part_beside_train_and_test_is_refused(tmp_path: Path) -> None:
    for part in ("train", "test", "val"):
        write_folder(tmp_path / part, {"cat": 3, "dog": 3})
    with pytest.raises(ValueError, match=r"no folders beside train and test, where these hold classes, got \['val'\]"):
        read(tmp_path)


def test_a_name_that_a_model_file_does_not_take_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat": 3, "do\ng": 3})
    with pytest.raises(ValueError, match=r"a set whose class names are printable, got 'do\\ng'"):
        read(tmp_path)
