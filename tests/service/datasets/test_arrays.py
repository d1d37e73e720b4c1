"""Arrays that are uploaded: taken where training reads them, and refused with its own reasons."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.datasets.refusals import RefusedUpload
from tests.service.datasets.conftest import Check
from tests.service.datasets.zips import changed
from training.config import DataConfig
from training.data import DATASETS

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 10), np.uint8)
LABELS = np.arange(12) % 2


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def of_objects() -> bytes:
    return npz(images=IMAGES, labels=np.array([{} for _ in LABELS]))


def claiming(shape: tuple[int, ...], name: str) -> bytes:
    """A set in which an array says that it has another shape than the bytes it has."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for known, values in (("images", IMAGES), ("labels", LABELS)):
            with archive.open(f"{known}.npy", "w") as entry:
                header = {"descr": values.dtype.str, "fortran_order": False, "shape": values.shape}
                if known == name:
                    header["shape"] = shape
                np.lib.format.write_array_header_1_0(entry, header)
                entry.write(values.tobytes())
    return file.getvalue()


def test_the_file_is_kept_as_it_is_and_training_reads_it(checked: Check) -> None:
    data = npz(images=IMAGES, labels=LABELS, class_names=["cat", "dog"])
    found = checked(data)
    assert (found.folder / "data.npz").read_bytes() == data
    report = found.report
    assert (report.kind, report.images, report.classes) == ("npz", 12, {"cat": 6, "dog": 6})
    assert (report.smallest, report.largest, report.channels) == ((8, 10), (8, 10), "grey")
    assert (report.bytes, report.test_images, report.refused_count) == (len(data), None, 0)
    read = DATASETS["npz"](DataConfig(name="npz", root=str(found.folder / "data.npz")))
    assert read.class_names == ("cat", "dog")
    with Image.open(found.folder / "sheet.png") as sheet:
        assert sheet.size == (190 + 6 * 68, 4 + 2 * 68)


@pytest.mark.parametrize(
    ("images", "channels"),
    [
        (np.repeat(IMAGES[..., None], 3, -1), "grey"),
        (np.stack([IMAGES, IMAGES, 255 - IMAGES], 1), "colour"),
        (np.stack([IMAGES, IMAGES, 255 - IMAGES], -1) / 255, "colour"),
    ],
)
def test_colours_are_those_of_the_pixels_in_every_layout(checked: Check, images: np.ndarray, channels: str) -> None:
    assert checked(npz(images=images, labels=LABELS)).report.channels == channels


def test_a_set_that_says_what_is_for_the_test_is_taken(checked: Check) -> None:
    parts = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES[:4], "test_labels": LABELS[:4]}
    report = checked(npz(**parts)).report
    assert (report.images, report.classes, report.test_images) == (16, {"0": 8, "1": 8}, 4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (of_objects(), "Object arrays cannot be loaded when allow_pickle=False"),
        (npz(x=IMAGES), "the file must be an .npz file with the arrays images, labels or train_images"),
        (npz(images=IMAGES, labels=LABELS + 1), "labels in the file must be 0, 1, 2 ... without a gap"),
        (npz(images=IMAGES.astype(int), labels=LABELS), "an array of uint8, or of floats in [0, 1]"),
        (npz(images=IMAGES / 100, labels=LABELS), "floats in [0, 1], got 'floats outside'"),
        (npz(images=IMAGES[:3], labels=LABELS[:3] * 0), "every class needs at least 3 for training and validation"),
        (npz(images=IMAGES[:4], labels=LABELS[:4]), "every class needs at least 2 for training and validation"),
        (npz(images=IMAGES, labels=LABELS, class_names=["a", "a"]), "class names differ"),
        (npz(images=IMAGES, labels=LABELS)[:-30], "neither a zip file nor an .npz file"),
        (claiming((10**12, 8, 10), "images"), "labels in the file must be as long as images"),
        (claiming((10**13,), "labels"), "its arrays take too much memory to read"),
        (claiming((12, 4096, 4096), "images"), "it ends too early"),
        (claiming((2**62, 2**62), "labels"), "the file"),
        (
            changed(npz(images=IMAGES, labels=LABELS), "labels.npy", checksum=1),
            "one of its arrays is refused: it is damaged",
        ),
        (changed(npz(images=IMAGES, labels=LABELS), "images.npy", size=900), "unpacks to more than the 900 bytes"),
    ],
)
def test_what_training_could_not_read_is_refused_with_its_reason(
    checked: Check, data: bytes, reason: str, tmp_path
) -> None:
    with pytest.raises(RefusedUpload) as refusal:
        checked(data)
    assert reason in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_two_arrays_of_one_name_are_refused(checked: Check) -> None:
    file = io.BytesIO(npz(images=IMAGES, labels=LABELS))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("labels.npy", b"x")
    with pytest.raises(RefusedUpload, match="two arrays of the same name"):
        checked(file.getvalue())


def test_more_images_than_are_allowed_are_refused(checked: Check) -> None:
    with pytest.raises(RefusedUpload, match="it holds 12 images; 11 may be"):
        checked(npz(images=IMAGES, labels=LABELS), max_images=11)
