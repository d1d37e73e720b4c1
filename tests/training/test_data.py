import gzip
import struct
from pathlib import Path

import pytest
import torch

from training.config import DataConfig
from training.data import DATASETS
from training.data.digits import read_digits
from training.data.labelled import split


def write_idx(path: Path, array: torch.Tensor) -> None:
    """The published MNIST layout: magic number, sizes, bytes."""
    header = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
    path.write_bytes(header + array.to(torch.uint8).numpy().tobytes())


def write_mnist(root: Path, train: int, test: int) -> None:
    """A small data set in the layout that torchvision reads, with random pixels and labels 0 to 9 in turn."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", train), ("t10k", test)):
        write_idx(raw / f"{part}-images-idx3-ubyte", torch.randint(0, 256, (count, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", torch.arange(count) % 10)


def test_digits_are_the_1797_of_scikit_learn_in_mnists_layout() -> None:
    data = DATASETS["digits"](DataConfig())
    assert data.images.shape == (1797, 1, 28, 28)
    assert (len(data.train), len(data.test)) == (1438, 359)
    assert torch.cat([data.train, data.test]).sort().values.tolist() == list(range(1797))
    assert data.images[..., :4, :].max() == 0  # MNIST's black margin of 4 pixels
    assert data.class_names == tuple("0123456789")


def test_the_test_digits_never_change() -> None:
    first, second = DATASETS["digits"](DataConfig()), DATASETS["digits"](DataConfig(validation=0.3))
    assert torch.equal(first.test, second.test)


def test_mnist_is_read_from_the_published_files(tmp_path: Path) -> None:
    write_mnist(tmp_path, 30, 20)
    data = DATASETS["mnist"](DataConfig(name="mnist", root=str(tmp_path), download=False))
    assert data.images.shape == (50, 1, 28, 28)
    assert data.train.tolist() == list(range(30))
    assert data.labels[data.test].tolist() == [*range(10)] * 2


def test_a_missing_folder_is_named_with_the_rule(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="data.root must be a folder with the MNIST files in MNIST/raw, got '.*nowhere'"
    ):
        DATASETS["mnist"](DataConfig(name="mnist", root=str(tmp_path / "nowhere"), download=False))


def test_a_damaged_file_is_named_with_the_rule(tmp_path: Path) -> None:
    write_mnist(tmp_path, 30, 20)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(gzip.compress(b"nonsense"))
    with pytest.raises(ValueError, match="data.root must be a folder with the MNIST files"):
        DATASETS["mnist"](DataConfig(name="mnist", root=str(tmp_path), download=False))


def test_a_split_takes_its_share_of_every_class_and_loses_nothing() -> None:
    labels = torch.tensor([0] * 100 + [1] * 50 + [2] * 3)
    kept, chosen = split(torch.arange(153), labels, 0.2, 0, "test")
    assert labels[chosen].bincount().tolist() == [20, 10, 1]
    assert torch.cat([kept, chosen]).sort().values.tolist() == list(range(153))


def test_a_split_of_some_pictures_leaves_the_others_out() -> None:
    labels, members = torch.arange(300) % 3, torch.arange(0, 300, 2)
    kept, chosen = split(members, labels, 0.2, 0, "test")
    assert labels[chosen].bincount().tolist() == [10, 10, 10]
    assert torch.cat([kept, chosen]).sort().values.tolist() == members.tolist()


def test_a_split_is_a_function_of_the_seed() -> None:
    members, labels = torch.arange(200), torch.arange(200) % 2
    assert torch.equal(split(members, labels, 0.2, 0, "x")[1], split(members, labels, 0.2, 0, "x")[1])
    assert not torch.equal(split(members, labels, 0.2, 0, "x")[1], split(members, labels, 0.2, 1, "x")[1])


def test_the_digits_are_those_of_scikit_learn_wherever_it_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_digits(DataConfig())
    monkeypatch.setattr("training.data.digits._FILE", "nowhere")
    asked = read_digits(DataConfig())
    assert len(read.labels) == 1797
    assert torch.equal(read.images, asked.images) and torch.equal(read.labels, asked.labels)
