"""Your own arrays: an `.npz` file of images and labels."""

import logging
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from stn.config import require
from training.config import DataConfig
from training.data.decoded import Decoded, Source, cache_folder, decode_once, key_of, state_of
from training.data.labelled import DataSet, Parts, check_names, keep_test
from training.data.npz_images import DAMAGED, ImageArray, block_count, find_images, read_blocks
from training.data.progress import counted

log = logging.getLogger(__name__)

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

_LAYOUTS = ({"images": "labels"}, {"train_images": "train_labels", "test_images": "test_labels"})
"""The arrays of images, each with that of its labels: a set in one part, or in two."""


class NpzFile(NamedTuple):
    """What an `.npz` file holds, but for the images, which are not read yet."""

    images: list[ImageArray]
    """One array, or those for training and for the test."""
    labels: Int[Tensor, " n"]
    parts: Parts
    class_names: tuple[str, ...]


def read_npz(config: DataConfig) -> DataSet:
    """The arrays `images` and `labels`, or `train_images`, `train_labels`, `test_images` and `test_labels`.

    Images are uint8, or floats in [0, 1], of shape (N, H, W), (N, H, W, C) or (N, C, H, W); labels are integers from 0 on
    without a gap. `class_names` may name the classes. With `images`, arrays `train` and `test` of their numbers may say
    which are for what. Nothing in the file is ever unpickled.

    Raises:
        ValueError: naming the array, the rule and what was found.
    """
    path = Path(config.root)
    npz = open_npz(config)
    try:
        key = key_of(["npz", path.name, state_of(path)])
        source = partial(_source, npz.images, config)
        decoded = decode_once(key, cache_folder(config, path.parent), config.memory, source)
    except DAMAGED as error:
        raise _damaged(config, error) from None
    return DataSet(decoded.images, npz.labels, *npz.parts, npz.class_names)


def open_npz(config: DataConfig) -> NpzFile:
    """All but the images; see `read_npz`, also for what is refused."""
    path = Path(config.root)
    require(path.is_file() and zipfile.is_zipfile(path), "data.root", "an .npz file", config.root)
    try:
        small, images = _open(path)
        numbers = [_labels(small, name, array) for name, array in images.items()]
        labels = torch.cat(numbers)
        class_names = _class_names(small, labels)
        parts = _parts(small, numbers, config)
        check_names(class_names)
        arrays = list(images.values())
        first, last = arrays[0], arrays[-1]
        require(
            first.shape == last.shape, f"{last.name} in data.root", f"images of {first.shape} as before", last.shape
        )
        return NpzFile(arrays, labels, parts, class_names)
    except DAMAGED as error:
        raise _damaged(config, error) from None


def _damaged(config: DataConfig, error: Exception) -> ValueError:
    return ValueError(f"data.root must be an undamaged .npz file, got {config.root!r} ({error})")


def _open(path: Path) -> tuple[Arrays, dict[str, ImageArray]]:
    """The small arrays, and what the file says of the images by the name of their labels."""
    with np.load(path, allow_pickle=False) as file:
        layout = next((layout for layout in _LAYOUTS if {*layout, *layout.values()} <= set(file.files)), None)
        if layout is None:
            known = " or ".join(", ".join([*layout, *layout.values()]) for layout in _LAYOUTS)
            raise ValueError(f"data.root must be an .npz file with the arrays {known}, got {', '.join(file.files)}")
        wanted = [*layout.values(), "class_names", *(("train", "test") if len(layout) == 1 else ())]
        unused = sorted(set(file.files) - set(wanted) - set(layout))
        if unused:
            log.info("not used of %s: %s", path, ", ".join(unused))
        try:
            small = {name: file[name] for name in wanted if name in file.files}
        except ValueError as error:
            raise ValueError(
                f"data.root must be an .npz file of numbers and texts, got {str(path)!r} ({error})"
            ) from None
    return small, {labels: find_images(path, name) for name, labels in layout.items()}


def _labels(small: Arrays, name: str, images: ImageArray) -> Int[Tensor, " n"]:
    labels = small[name]
    whole = labels.dtype.kind in "iu" and labels.shape in ((len(labels),), (len(labels), 1))
    require(whole, f"{name} in data.root", "a list of integers", f"{labels.dtype} of shape {labels.shape}")
    require(len(labels) == images.stored[0], f"{name} in data.root", f"as long as {images.name}", len(labels))
    return torch.from_numpy(labels.reshape(-1).astype(np.int64))


def _class_names(small: Arrays, labels: Int[Tensor, " n"]) -> tuple[str, ...]:
    """The names in the file or the numbers of the classes; refuses labels that leave out a class."""
    found = labels.unique()
    expected = torch.arange(len(found))
    rule = "0, 1, 2 ... without a gap"
    if len(found) and found[0] < 0:
        raise ValueError(f"labels in data.root must be {rule}, got {int(found[0])}")
    missing = (found != expected).nonzero()
    if len(missing):
        raise ValueError(f"labels in data.root must be {rule}, got {int(found[-1])} but no {int(missing[0])}")
    if "class_names" not in small:
        return tuple(str(number) for number in found.tolist())
    names = small["class_names"]
    texts = names.dtype.kind == "U" and names.ndim == 1
    require(texts, "class_names in data.root", "a list of texts", f"{names.dtype} of shape {names.shape}")
    require(len(names) == len(found), "class_names in data.root", f"{len(found)} names, one per label", len(names))
    return tuple(names.tolist())


def _parts(small: Arrays, numbers: list[Int[Tensor, " _"]], config: DataConfig) -> Parts:
    count = sum(map(len, numbers))
    if len(numbers) == 2:
        return Parts(*torch.arange(count).split([len(part) for part in numbers]))
    if "train" not in small and "test" not in small:
        return keep_test(numbers[0], config)
    for name in ("train", "test"):
        require(name in small, "data.root", "an .npz file with both train and test, or neither", f"no {name}")
        array = small[name]
        fine = array.dtype.kind in "iu" and array.ndim == 1 and ((array >= 0) & (array < count)).all()
        require(bool(fine), f"{name} in data.root", f"a list of numbers of images, in [0, {count})", str(array)[:80])
    both = np.concatenate([small["train"], small["test"]]).astype(np.int64)
    most = int(np.bincount(both, minlength=count).argmax())
    once = len(np.unique(both)) == len(both)
    require(once, "train and test in data.root", "lists without repetition", f"{most} more than once")
    return Parts(*(torch.from_numpy(np.sort(small[name]).astype(np.int64)) for name in ("train", "test")))


def _source(arrays: list[ImageArray], config: DataConfig) -> Source:
    blocks = counted(_blocks(arrays, config), sum(map(block_count, arrays)), "reading images", "block")
    return Source(sum(array.stored[0] for array in arrays), arrays[0].shape, blocks)


def _blocks(arrays: list[ImageArray], config: DataConfig) -> Iterator[Decoded]:
    for array in arrays:
        yield from read_blocks(array, config.memory)
