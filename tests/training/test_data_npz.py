import logging
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.picture_sets import read
from training.data.labelled import DataSet

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (24, 9, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (24, 3, 9, 7), dtype=np.uint8)
LABELS = np.arange(24) % 3


def read_arrays(folder: Path, **arrays: object) -> DataSet:
    """The set of an `.npz` file with these arrays."""
    np.savez(folder / "set.npz", **arrays)  # type: ignore[arg-type]
    return read(folder / "set.npz", name="npz")


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 2, 3, 1), COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        (COLOUR / 255, COLOUR),
        ((GREY / 255).astype(">f8"), GREY[:, None]),
    ],
)
@pytest.mark.parametrize("memory", [4.0, 0.0])
def test_every_layout_gives_the_same_bytes_in_memory_and_streamed(
    tmp_path: Path, images: np.ndarray, expected: np.ndarray, memory: float
) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "set.npz", images=images, labels=LABELS)
        data = read(tmp_path / "set.npz", name="npz", memory=memory)
        assert torch.equal(data.images, torch.from_numpy(expected))
        assert data.labels.tolist() == LABELS.tolist()
    assert (tmp_path / ".stn-cache").exists() == (memory == 0)


def test_images_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.npz_images._BLOCK_BYTES", 1000)
    assert torch.equal(read_arrays(tmp_path, images=COLOUR, labels=LABELS).images, torch.from_numpy(COLOUR))


def test_a_set_beyond_memory_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.npz_images._BLOCK_BYTES", 1000)
    largest: list[int] = []

    def note(file: object, size: int) -> bytes:
        largest.append(size)
        return file.read(size)  # type: ignore[attr-defined]

    monkeypatch.setattr("training.data.npz_images._read", note)
    np.savez_compressed(tmp_path / "set.npz", images=COLOUR, labels=LABELS)
    read(tmp_path / "set.npz", name="npz", memory=0.0)
    assert max(largest) <= 1000
    assert sum(largest) == COLOUR.nbytes


def test_images_in_fortrans_order_are_read_within_memory(tmp_path: Path) -> None:
    data = read_arrays(tmp_path, images=np.asfortranarray(COLOUR), labels=LABELS)
    assert torch.equal(data.images, torch.from_numpy(COLOUR))


def test_images_in_fortrans_order_beyond_memory_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.asfortranarray(COLOUR), labels=LABELS)
    with pytest.raises(ValueError, match="images in data.root must be saved in C order, as numpy.ascontiguousarray"):
        read(tmp_path / "set.npz", name="npz", memory=0.0)


def test_without_a_split_a_share_of_every_class_is_kept(tmp_path: Path) -> None:
    data = read_arrays(tmp_path, images=GREY, labels=LABELS)
    assert data.labels[data.test].bincount().tolist() == [2, 2, 2]
    assert torch.cat([data.train, data.test]).sort().values.tolist() == list(range(24))
    assert data.class_names == ("0", "1", "2")


def test_train_and_test_may_list_the_images_of_each_part(tmp_path: Path) -> None:
    train, test = np.array([9, *range(8)]), np.array([23, 22, 21])
    data = read_arrays(tmp_path, images=GREY, labels=LABELS, train=train, test=test)
    assert data.train.tolist() == [*range(8), 9]
    assert data.test.tolist() == [21, 22, 23]


def test_arrays_for_training_and_test_are_the_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "training"):
        data = read_arrays(
            tmp_path,
            train_images=COLOUR[:12],
            train_labels=LABELS[:12, None].astype(np.uint8),
            val_images=COLOUR[12:15],
            val_labels=LABELS[12:15, None],
            test_images=COLOUR[15:],
            test_labels=LABELS[15:, None].astype(np.uint8),
        )
    assert (len(data.train), len(data.test)) == (12, 9)
    assert torch.equal(data.images[data.test], torch.from_numpy(COLOUR[15:]))
    assert data.labels[data.test].tolist() == LABELS[15:].tolist()
    assert "not used of" in caplog.text
    assert "val_images, val_labels" in caplog.text


def test_class_names_are_taken_from_the_file(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "owl"])
    assert read_arrays(tmp_path, images=GREY, labels=LABELS, class_names=names).class_names == ("cat", "dog", "owl")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": GREY}, "must be an .npz file with the arrays images, labels or train_images, .*, got images"),
        (
            {"images": GREY.astype(np.int32)},
            "images in data.root must be an array of uint8, or of floats .*, got 'int32'",
        ),
        ({"images": GREY / 100}, "images in data.root must be an array of uint8, or of floats in .*'floats outside'"),
        ({"images": GREY * np.nan}, "images in data.root must be an array of uint8, or of floats"),
        ({"images": np.array([None] * 24)}, "images in data.root must be an array of uint8, .*, got 'object'"),
        ({"images": GREY[:, 0]}, r"images in data.root must be of shape \(N, H, W\), .*, got \(24, 7\)"),
        (
            {"images": COLOUR[:, :2]},
            r"images in data.root must be of shape .* with 1 or 3 channels .*, got \(24, 2, 9, 7\)",
        ),
        ({"images": GREY[:, :3]}, r"images in data.root must be .* sides in \[4, 4096\], got \(24, 3, 7\)"),
        ({"labels": LABELS[:9]}, "labels in data.root must be as long as images, got 9"),
        ({"labels": LABELS / 2}, r"labels in data.root must be a list of integers, got 'float64 of shape \(24,\)'"),
        ({"labels": np.eye(24, dtype=int)}, "labels in data.root must be a list of integers"),
        ({"labels": np.array([None] * 24)}, "must be an .npz file of numbers and texts, .*allow_pickle=False"),
        ({"labels": LABELS * 2}, "labels in data.root must be 0, 1, 2 ... without a gap, got 4 but no 1"),
        ({"labels": LABELS + 1}, "labels in data.root must be 0, 1, 2 ... without a gap, got 3 but no 0"),
        ({"labels": LABELS - 1}, "labels in data.root must be 0, 1, 2 ... without a gap, got -1"),
        ({"labels": LABELS * 0}, r"data.root must be a set of 2 to 65,536 classes, got \['0'\]"),
        (
            {"labels": np.array([2, 2, *[0, 1] * 11])},
            "2 readable pictures of every class for training .*, got 1 of '2'",
        ),
        ({"class_names": np.array(["cat", "dog"])}, "class_names in data.root must be 3 names, one per label, got 2"),
        ({"class_names": np.arange(3)}, "class_names in data.root must be a list of texts"),
        ({"class_names": np.array(["a", "b", "a"])}, "data.root must be a set whose class names differ"),
        ({"train": np.arange(9)}, "must be an .npz file with both train and test, or neither, got 'no test'"),
        ({"train": np.arange(9), "test": np.arange(22, 25)}, r"test in data.root must be .* in \[0, 24\)"),
        ({"train": np.arange(9), "test": np.arange(8, 20)}, "must be lists without repetition, got '8 more than once'"),
        (
            {"train": np.arange(9), "test": np.arange(22, 24)},
            "1 readable picture of every class for the test, got 0 of '0'",
        ),
        ({"train": np.array([0, 1, 2, 3, 4]), "test": np.arange(9, 12)}, "2 readable pictures of .*, got 1 of '2'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    defaults = {} if list(arrays) == ["images"] and arrays["images"] is GREY else {"images": GREY, "labels": LABELS}
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path, **{**defaults, **arrays})


def test_parts_of_different_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test_images in data.root must be images of \(3, 9, 7\) as before"):
        read_arrays(tmp_path, train_images=COLOUR, train_labels=LABELS, test_images=GREY, test_labels=LABELS)


def test_a_class_that_the_test_part_lacks_is_refused(tmp_path: Path) -> None:
    few = LABELS[:2]
    with pytest.raises(ValueError, match="1 readable picture of every class for the test, got 0 of '2'"):
        read_arrays(tmp_path, train_images=GREY, train_labels=LABELS, test_images=GREY[:2], test_labels=few)


def test_what_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", GREY)
    for path in (tmp_path / "nowhere.npz", tmp_path / "images.npy", tmp_path):
        with pytest.raises(ValueError, match="data.root must be an .npz file, got"):
            read(path, name="npz")


@pytest.mark.parametrize("memory", [4.0, 0.0])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_byte_in_the_images_is_refused_and_leaves_nothing(
    tmp_path: Path, compression: int, memory: float
) -> None:
    save = np.savez if compression == zipfile.ZIP_STORED else np.savez_compressed
    save(tmp_path / "set.npz", images=COLOUR, labels=LABELS)
    data = bytearray((tmp_path / "set.npz").read_bytes())
    data[2000] ^= 255
    (tmp_path / "set.npz").write_bytes(data)
    with pytest.raises(ValueError, match="data.root must be an undamaged .npz file, got '.*set.npz'"):
        read(tmp_path / "set.npz", name="npz", memory=memory)
    assert not (tmp_path / ".stn-cache").exists()


def test_an_array_that_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=COLOUR, labels=LABELS)
    with zipfile.ZipFile(tmp_path / "set.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data[:-10] if name == "images.npy" else data)
    with pytest.raises(ValueError, match=r"data.root must be an undamaged .npz file, .*\(it ends too early\)"):
        read(tmp_path / "short.npz", name="npz")


def test_a_cached_file_is_decoded_again_when_it_changes(tmp_path: Path) -> None:
    for images in (COLOUR, 255 - COLOUR):
        np.savez(tmp_path / "set.npz", images=images, labels=LABELS)
        for _ in range(2):
            data = read(tmp_path / "set.npz", name="npz", memory=0.0)
            assert torch.equal(data.images, torch.from_numpy(images))
    assert len(list((tmp_path / ".stn-cache").glob("*.images"))) == 2


def test_the_file_that_the_page_on_data_makes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert read(tmp_path / "set.npz", name="npz").class_names == ("cat", "dog")
