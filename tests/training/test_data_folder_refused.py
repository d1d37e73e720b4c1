import logging
import struct
import zlib
from pathlib import Path

import pytest
import torch

from tests.training.picture_sets import picture, pixels, read, write_folder


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
    assert "cat/bomb.png: the image must have at most 89,478,485 pixels, got" in caplog.text


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
        ({}, r"data.root must be a folder with one folder for each class, got \[\]"),
        ({"cat": 5}, r"data.root must be a set of 2 to 65,536 classes, got \['cat'\]"),
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
