"""The arrays of an upload: read as training reads them, nothing of them unpickled."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from service.datasets.findings import SHEET_PICTURES, Findings, check_classes, check_counts, least_to_train
from service.datasets.refusals import Refused, RefusedFile, RefusedUpload
from service.datasets.sheet import tile_of
from service.datasets.unpacking import unpacked
from service.datasets.zip_directory import Entry
from training.config import DataConfig

Blocks = UInt8[np.ndarray, "n c h w"]

_FORTRAN_GIB = 1.0
"""Of an array in Fortran's order, which is read at once."""


def is_npz(entries: Sequence[Entry]) -> bool:
    """Whether these are the arrays of `numpy.savez` rather than pictures."""
    return any(entry.name.endswith(".npy") and "/" not in entry.name for entry in entries)


def check_arrays(file: IO[bytes], entries: Sequence[Entry], path: Path, most_images: int) -> Findings:
    """What the arrays hold.

    Args:
        file: the npz file, opened.
        entries: its files.
        path: the npz file.
        most_images: that it may hold.

    Raises:
        RefusedUpload: training could not read it.
    """
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise RefusedUpload("it holds two arrays of the same name")
    for entry in entries:
        with _refusing(path):
            for _ in unpacked(file, entry):  # to its end, where its sum is compared
                pass
    with _refusing(path):
        return _read(path, most_images)


def _read(path: Path, most_images: int) -> Findings:
    # Here, for torch, which pictures in folders do without.
    from training.data.npz import open_npz
    from training.data.npz_images import read_blocks

    npz = open_npz(DataConfig(name="npz", root=str(path)))
    labels, class_names = npz.labels.numpy(), npz.class_names
    if len(labels) > most_images:
        raise RefusedUpload(f"it holds {len(labels):,} images; {most_images:,} may be")
    refused = Refused()
    check_classes(list(class_names), refused)
    to_train = least_to_train(class_names)
    for part, least, purpose in (
        (npz.parts.train, to_train, "training and validation"),
        (npz.parts.test, 1, "the test"),
    ):
        counts = np.bincount(labels[part.numpy()], minlength=len(class_names)).tolist()
        check_counts(dict(zip(class_names, counts, strict=True)), least, purpose, refused)
    findings = Findings(class_names, refused)
    size = npz.images[0].shape[1:]
    for name, count in zip(class_names, np.bincount(labels).tolist(), strict=True):
        findings.add(name, size, count, 0)
    findings.bytes = path.stat().st_size
    findings.test_images = len(npz.parts.test) if _says_parts(path) else None
    shown = _shown(labels)
    blocks = (block.images.numpy() for array in npz.images for block in read_blocks(array, _FORTRAN_GIB))
    for start, images in _counted(blocks):
        findings.has_colour |= images.shape[1] == 3 and bool((images != images[:, :1]).any())
        for place in sorted(shown & set(range(start, start + len(images)))):
            pixels = images[place - start].transpose(1, 2, 0)
            picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
            findings.show(class_names[labels[place]], place, tile_of(picture))
    return findings


def _shown(labels: Int[np.ndarray, " n"]) -> set[int]:
    """Numbers of images for the contact sheet, spread evenly over each class."""
    order = np.argsort(labels, kind="stable")
    classes = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    spread = np.linspace(0, 1, SHEET_PICTURES)
    return {int(members[round(part * (len(members) - 1))]) for members in classes for part in spread.tolist()}


def _says_parts(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as file:
        return bool({"test", "test_images"} & set(file.files))


def _counted(blocks: Iterator[Blocks]) -> Iterator[tuple[int, Blocks]]:
    """Each block with the number of its first image."""
    start = 0
    for block in blocks:
        yield start, block
        start += len(block)


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What training says of the file, as the reason for which the upload is refused."""
    from training.data.npz_images import DAMAGED

    try:
        yield
    except RefusedUpload:
        raise
    except RefusedFile as refusal:
        raise RefusedUpload(f"one of its arrays is refused: {refusal}") from None
    except MemoryError:
        raise RefusedUpload("its arrays take too much memory to read") from None
    except (*DAMAGED, ValueError) as error:
        reason = str(error).replace(repr(str(path)), "another").replace(str(path), "the file")
        raise RefusedUpload(reason.replace("data.root", "the file")) from None
