import csv
import gzip
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torchvision.datasets import CIFAR10, SVHN

from tests.training.picture_sets import picture, read
from tests.training.test_data import write_idx

IDX = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}


def write_mnist_like(root: Path, folder: str) -> dict[str, torch.Tensor]:
    """30 training and 20 test images in MNIST's layout."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    images = {part: torch.randint(0, 256, (count, 28, 28)) for part, count in (("train", 30), ("t10k", 20))}
    for part, values in images.items():
        write_idx(raw / f"{part}-images-idx3-ubyte", values)
        write_idx(raw / f"{part}-labels-idx1-ubyte", torch.arange(len(values)) % 10)
    return images


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", IDX)
@pytest.mark.parametrize("download", [True, False])
def test_the_three_of_mnists_layout_are_read_from_files_that_are_there(
    tmp_path: Path, name: str, download: bool
) -> None:
    images = write_mnist_like(tmp_path, IDX[name])
    data = read(tmp_path, name=name, download=download)
    assert torch.equal(data.images[:, 0].long(), torch.cat(list(images.values())))
    assert data.train.tolist() == list(range(30))
    assert data.labels[data.test].tolist() == [*range(10)] * 2


def test_each_set_has_its_own_class_names(tmp_path: Path) -> None:
    expected = {"mnist": ("0", "9"), "fashion-mnist": ("T-shirt/top", "Ankle boot"), "kmnist": ("o", "wo")}
    for name, folder in IDX.items():
        write_mnist_like(tmp_path, folder)
        names = read(tmp_path, name=name, download=False).class_names
        assert len(names) == 10
        assert (names[0], names[-1]) == expected[name]


def write_cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The published layout with 20 images per file; torchvision is told the sums of these files."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (6, 20, 3072), dtype=np.uint8)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name, data in zip(names, rows, strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [*range(10)] * 2}))
    label_names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": label_names}))
    sums = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(folder / "batches.meta")})
    return rows.reshape(120, 3, 32, 32)


@pytest.mark.parametrize("download", [True, False])
def test_cifar10_is_read_from_the_published_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool
) -> None:
    images = write_cifar10(tmp_path, monkeypatch)
    data = read(tmp_path, name="cifar10", download=download)
    assert torch.equal(data.images, torch.from_numpy(images))
    assert (len(data.train), len(data.test)) == (100, 20)
    assert data.class_names[3] == "cat"


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The published layout, where the digit 0 has the label 10."""
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 50), dtype=np.uint8)
    labels = np.arange(50)[:, None] % 10 + 1
    parts = {"train": slice(0, 30), "test": slice(30, 50)}
    for part, chosen in parts.items():
        path = root / f"{part}_32x32.mat"
        scipy.io.savemat(path, {"X": images[..., chosen], "y": labels[chosen].astype(np.uint8)})
        monkeypatch.setitem(SVHN.split_list, part, ["no address", path.name, md5(path)])
    return images.transpose(3, 2, 0, 1)


@pytest.mark.parametrize("download", [True, False])
def test_svhn_is_read_from_the_published_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool) -> None:
    images = write_svhn(tmp_path, monkeypatch)
    data = read(tmp_path, name="svhn", download=download)
    assert torch.equal(data.images, torch.from_numpy(np.ascontiguousarray(images)))
    assert data.labels.tolist() == [*range(1, 10), 0] * 5
    assert (len(data.train), len(data.test)) == (30, 20)
    assert data.class_names == tuple("0123456789")


def write_gtsrb(root: Path, training: int = 2) -> None:
    """The published layout: photographs of several sizes as PPM, the test's classes in a list."""
    for label in range(43):
        folder = root / "gtsrb" / "GTSRB" / "Training" / f"{label:05d}"
        folder.mkdir(parents=True)
        for number in range(training):
            picture(15 + label, 20, 100 * label + number, "RGB").save(folder / f"00000_{number:05d}.ppm")
        (folder / f"GT-{label:05d}.csv").write_text("Filename;Width\n")
    images = root / "gtsrb" / "GTSRB" / "Final_Test" / "Images"
    images.mkdir(parents=True)
    with (root / "gtsrb" / "GT-final_test.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"])
        for number in range(43):
            picture(20, 30, number, "RGB").save(images / f"{number:05d}.ppm")
            rows.writerow([f"{number:05d}.ppm", 30, 20, 0, 0, 1, 1, 42 - number])


@pytest.mark.parametrize("download", [True, False])
def test_gtsrb_is_read_from_the_published_files(tmp_path: Path, download: bool) -> None:
    write_gtsrb(tmp_path)
    data = read(tmp_path, name="gtsrb", download=download)
    assert data.images.shape == (129, 3, 64, 64)
    assert data.labels[data.train].tolist() == [label for label in range(43) for _ in range(2)]
    assert data.labels[data.test].tolist() == list(reversed(range(43)))
    assert (len(data.class_names), data.class_names[14], data.class_names[42]) == (
        43,
        "stop",
        "end of no passing for lorries",
    )


def test_gtsrb_is_fitted_and_streamed_as_a_folder_is(tmp_path: Path) -> None:
    write_gtsrb(tmp_path)
    held = read(tmp_path, name="gtsrb", size=(20, 20), fit="crop")
    streamed = read(tmp_path, name="gtsrb", size=(20, 20), fit="crop", memory=0.0)
    assert held.images.shape == (129, 3, 20, 20)
    assert torch.equal(held.images, streamed.images)
    assert len(list((tmp_path / ".stn-cache").glob("*.images"))) == 1


def test_a_corrupt_sign_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_gtsrb(tmp_path, 3)
    (tmp_path / "gtsrb" / "GTSRB" / "Training" / "00003" / "00000_00001.ppm").write_bytes(b"P6\n20 18\n255\nshort")
    data = read(tmp_path, name="gtsrb")
    assert (len(data.train), len(data.test)) == (128, 43)
    assert "gtsrb/GTSRB/Training/00003/00000_00001.ppm: the image is damaged" in caplog.text


HOLDS = {
    "mnist": "the MNIST files in MNIST/raw",
    "fashion-mnist": "the Fashion-MNIST files in FashionMNIST/raw",
    "kmnist": "the KMNIST files in KMNIST/raw",
    "cifar10": "the CIFAR-10 batches in cifar-10-batches-py",
    "svhn": "train_32x32.mat and test_32x32.mat of SVHN",
    "gtsrb": "the GTSRB files in gtsrb/GTSRB and gtsrb/GT-final_test.csv",
}


@pytest.mark.parametrize("name", HOLDS)
def test_missing_files_are_named_with_where_they_belong(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"data.root must be a folder with {HOLDS[name]}, got '.*nowhere'"):
        read(tmp_path / "nowhere", name=name, download=False)


@pytest.mark.parametrize("name", IDX)
def test_damaged_files_of_mnists_layout_are_refused(tmp_path: Path, name: str) -> None:
    write_mnist_like(tmp_path, IDX[name])
    (tmp_path / IDX[name] / "raw" / "train-images-idx3-ubyte").write_bytes(gzip.compress(b"nonsense"))
    with pytest.raises(ValueError, match=f"data.root must be a folder with {HOLDS[name]}"):
        read(tmp_path, name=name, download=False)


def test_damaged_batches_of_cifar10_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path, monkeypatch)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=f"{HOLDS['cifar10']}, got '.*' .Dataset not found or corrupted"):
        read(tmp_path, name="cifar10", download=False)


def test_damaged_files_of_svhn_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path, monkeypatch)
    (tmp_path / "test_32x32.mat").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=f"{HOLDS['svhn']}, got '.*' .Dataset not found or corrupted"):
        read(tmp_path, name="svhn", download=False)


@pytest.mark.parametrize("text", [None, "Filename;Other\n00000.ppm;1\n", "Filename;ClassId\n00000.ppm;43\n"])
def test_a_damaged_list_of_signs_is_refused(tmp_path: Path, text: str | None) -> None:
    write_gtsrb(tmp_path)
    path = tmp_path / "gtsrb" / "GT-final_test.csv"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=f"data.root must be a folder with {HOLDS['gtsrb']}"):
        read(tmp_path, name="gtsrb", download=False)


def test_a_download_that_fails_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no network")

    for module in ("mnist", "cifar", "gtsrb"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", fail)
    monkeypatch.setattr("torchvision.datasets.svhn.download_url", fail)
    for name, holds in HOLDS.items():
        with pytest.raises(ValueError, match=f"{holds}, got .*no network"):
            read(tmp_path, name=name)
