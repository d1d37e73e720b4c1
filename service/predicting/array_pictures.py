"""Pictures that are posted as arrays, in an `.npz` file: what it says is checked before memory is taken for it."""

import io
import math
import zipfile
import zlib
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.lib import format as npy

from service.problems import Problem

_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_BYTES_OF_A_PIXEL = 4


def pictures_in_npz(body: bytes, names: tuple[str, ...], max_pixels: int) -> list[UInt8[np.ndarray, "c h w"]]:
    """The arrays of these names: uint8, or floats in [0, 1], of shape (H, W), (H, W, C) or (C, H, W) with 1 or 3 channels.

    Raises:
        Problem: 400 for what is no `.npz` file, 413 for a picture that is too large, 422 for wrong or missing arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            found = sorted(archive.namelist())
            if found != sorted(f"{name}.npy" for name in names):
                held = ", ".join(name[:64] for name in found[:4]) or "none"
                raise Problem(422, f"the .npz file must have the arrays {' and '.join(names)}, got {held}")
            return [_picture(archive, name, max_pixels) for name in names]
    except _DAMAGED as error:
        raise Problem(400, f"the body must be an .npz file as numpy.savez writes it ({str(error)[:200]})") from None


def _picture(archive: zipfile.ZipFile, name: str, max_pixels: int) -> UInt8[np.ndarray, "c h w"]:
    with archive.open(f"{name}.npy") as file:
        shape, columns_first, dtype = _HEADERS[npy.read_magic(file)](file)
        channels_last = _check(name, shape, dtype, max_pixels)
        size = math.prod(shape) * dtype.itemsize
        data = file.read(size + 1)
    if len(data) != size:
        raise ValueError(f"{name} has {'more' if len(data) > size else 'fewer'} values than it says")
    values = np.frombuffer(data, dtype).reshape(shape, order="F" if columns_first else "C")
    if dtype.kind == "f":
        if not ((values >= 0) & (values <= 1)).all():
            raise Problem(422, f"{name} must have floats in [0, 1], got others")
        values = np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    planes = np.moveaxis(values, -1, 0) if channels_last else values.reshape(-1, *shape[-2:])
    return np.array(planes, order="C")


def _check(name: str, shape: tuple[int, ...], dtype: "np.dtype[Any]", max_pixels: int) -> bool:
    """Whether the channels come last; a Problem where this is no picture."""
    if dtype != np.uint8 and dtype.kind != "f":
        raise Problem(422, f"{name} must be uint8, or floats in [0, 1], got {dtype}")
    first, last = (len(shape) == 3 and shape[axis] in (1, 3) for axis in (0, -1))
    if not (len(shape) == 2 or first or last) or min(shape) < 1:
        rule = "(H, W), (H, W, C) or (C, H, W) with 1 or 3 channels"
        raise Problem(422, f"{name} must have shape {rule}, got {shape}")
    size = math.prod(shape) * dtype.itemsize
    if size > _BYTES_OF_A_PIXEL * max_pixels:
        raise Problem(413, f"{name} must have at most {_BYTES_OF_A_PIXEL * max_pixels:,} bytes, got {size:,}")
    return last and not first
