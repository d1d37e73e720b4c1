import gzip
import struct
from pathlib import Path

import pytest
import torch

from training.config import DataConfig
from training.data import DATASETS
from training.data.labelled import Labelled, split


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
    assert data.train.images.shape == (1438, 1, 28, 28)
    assert data.test.images.shape == (359, 1, 28, 28)
    assert data.train.images.dtype == torch.uint8
    assert data.train.images[..., :4, :].max() == 0  # MNIST's black margin of 4 pixels
    assert data.class_names == tuple("0123456789")


def test_the_test_digits_never_change() -> None:
    first, second = DATASETS["digits"](DataConfig()), DATASETS["digits"](DataConfig(validation=0.3))
    assert torch.equal(first.test.images, second.test.images)


def test_mnist_is_read_from_the_published_files(tmp_path: Path) -> None:
    write_mnist(tmp_path, 30, 20)
    data = DATASETS["mnist"](DataConfig(name="mnist", root=str(tmp_path), download=False))
    assert data.train.images.shape == (30, 1, 28, 28)
    assert data.test.labels.tolist() == [*range(10)] * 2


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
    pictures = Labelled(torch.arange(153, dtype=torch.uint8).view(-1, 1, 1, 1), labels)
    kept, chosen = split(pictures, 0.2, 0, "test")
    assert chosen.labels.bincount().tolist() == [20, 10, 1]
    together = torch.cat([kept.images, chosen.images]).flatten().sort().values
    assert torch.equal(together, torch.arange(153, dtype=torch.uint8))


def test_a_split_is_a_function_of_the_seed() -> None:
    pictures = Labelled(torch.zeros(200, 1, 1, 1, dtype=torch.uint8), torch.arange(200) % 2)
    pictures.images[:, 0, 0, 0] = torch.arange(200, dtype=torch.uint8)
    assert torch.equal(split(pictures, 0.2, 0, "x")[1].images, split(pictures, 0.2, 0, "x")[1].images)
    assert not torch.equal(split(pictures, 0.2, 0, "x")[1].images, split(pictures, 0.2, 1, "x")[1].images)
