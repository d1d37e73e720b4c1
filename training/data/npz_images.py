"""Arrays of images in an `.npz` file, read a slice at a time."""

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from numpy.lib import format as npy
from torch import Tensor

from stn.config import require
from training.data.decoded import Decoded

DAMAGED = (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file raises, beside ValueError."""

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""By the version of numpy's format; a later one is for names of fields, which images have not."""

_BLOCK_BYTES = 2**24

Stream = IO[bytes] | io.BufferedIOBase
"""A file inside the archive."""


class ImageArray(NamedTuple):
    """What the file says of an array of images before they are read."""

    path: Path
    name: str
    stored: tuple[int, ...]
    """The array's own shape."""
    dtype: np.dtype[Any]
    columns_first: bool
    """Whether it lies in Fortran's order, in which single images cannot be read."""
    shape: tuple[int, int, int]
    """(C, H, W) of each image."""


def find_images(path: Path, name: str) -> ImageArray:
    """What the file says of this array.

    Raises:
        ValueError: unless it is one of uint8 or floats in a layout of images.
    """
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        shape, columns_first, dtype = _read_header(file, name)
    known = dtype == np.uint8 or dtype.kind == "f"
    require(known, f"{name} in data.root", "an array of uint8, or of floats in [0, 1]", str(dtype))
    return ImageArray(path, name, shape, dtype, columns_first, _image_shape(name, shape))


def read_blocks(array: ImageArray, memory: float) -> Iterator[Decoded]:
    """The images as bytes, some at a time.

    Args:
        memory: GiB that an array in Fortran's order may take, which is read at once.
    """
    with zipfile.ZipFile(array.path) as archive, archive.open(f"{array.name}.npy") as file:
        _read_header(file, array.name)
        per_image = math.prod(array.stored[1:]) * array.dtype.itemsize
        block = max(1, _BLOCK_BYTES // per_image)
        if array.columns_first:
            fits = per_image * array.stored[0] <= memory * 2**30
            require(
                fits, f"{array.name} in data.root", "saved in C order, as numpy.ascontiguousarray makes it", "Fortran's"
            )
            whole = np.frombuffer(_read(file, per_image * array.stored[0]), array.dtype).reshape(
                array.stored, order="F"
            )
            for start in range(0, len(whole), block):
                yield Decoded(_to_bytes(whole[start : start + block], array), {})
        else:
            for start in range(0, array.stored[0], block):
                count = min(block, array.stored[0] - start)
                values = np.frombuffer(_read(file, per_image * count), array.dtype)
                yield Decoded(_to_bytes(values.reshape(count, *array.stored[1:]), array), {})
        if file.read(1):  # at the end the checksum is compared, too
            raise EOFError(f"{array.name} is longer than it says")


def block_count(array: ImageArray) -> int:
    """How many blocks `read_blocks` gives."""
    per_image = math.prod(array.stored[1:]) * array.dtype.itemsize
    return -(-array.stored[0] // max(1, _BLOCK_BYTES // per_image))


def _read_header(file: Stream, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(file)
        return _HEADERS[version](file)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name} in data.root must be an array as numpy.savez writes it ({error})") from None


def _image_shape(name: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W). No side of an image is less than 4, so an axis of 1 or 3 can only be that of the channels."""
    found = None
    if len(shape) == 3:
        found = (1, shape[1], shape[2])
    elif len(shape) == 4 and shape[1] in (1, 3):
        found = (shape[1], shape[2], shape[3])
    elif len(shape) == 4 and shape[3] in (1, 3):
        found = (shape[3], shape[1], shape[2])
    rule = "of shape (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels and sides in [4, 4096]"
    if found is None or not all(4 <= side <= 4096 for side in found[1:]):
        raise ValueError(f"{name} in data.root must be {rule}, got {shape}")
    return found


def _to_bytes(values: Shaped[np.ndarray, "..."], array: ImageArray) -> UInt8[Tensor, "n c h w"]:
    if values.dtype.kind == "f":
        inside = bool(((values >= 0) & (values <= 1)).all())
        require(inside, f"{array.name} in data.root", "an array of uint8, or of floats in [0, 1]", "floats outside")
        values = (values.astype(np.float32) * 255).round().astype(np.uint8)
    if values.ndim == 4 and values.shape[1:] != array.shape:
        values = np.moveaxis(values, -1, 1)
    return torch.from_numpy(np.array(values, order="C").reshape(-1, *array.shape))


def _read(file: Stream, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return data
