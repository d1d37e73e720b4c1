"""From what a program has of pictures to the bodies of requests."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

ImageLike = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray
"""A picture: the path of a file, the bytes of a file, a PIL image, or an array of type uint8 and shape (height, width) or
(height, width, 3)."""

_ONE = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray)
_IN_PNG = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
_MOST_BYTES = 8 * 2**20
"""Of pictures in one request, unless one alone has more."""


class Body(NamedTuple):
    """The body of a request."""

    content: bytes
    kind: str


def is_one(images: ImageLike | Iterable[ImageLike]) -> bool:
    """Whether this is one picture, and not several."""
    return isinstance(images, _ONE)


def grouped(images: ImageLike | Iterable[ImageLike], most: int) -> Iterator[list[bytes]]:
    """The pictures as files, so many or fewer to a request; each is read when its group is asked for."""
    group: list[bytes] = []
    size = 0
    for image in [images] if isinstance(images, _ONE) else images:
        data = encoded(image)
        if group and (len(group) == most or size + len(data) > _MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(data)
        size += len(data)
    if group:
        yield group


def encoded(image: object) -> bytes:
    """The picture as the bytes of a file: its own, or those of a PNG with the same pixels.

    Raises:
        ValueError: it is no picture.
        OSError: its file cannot be read.
    """
    if isinstance(image, (str, os.PathLike)):
        return Path(image).read_bytes()
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, np.ndarray):
        return _png(Image.fromarray(np.ascontiguousarray(_checked(image))))
    if isinstance(image, Image.Image):
        turned = ImageOps.exif_transpose(image)
        return _png(turned if turned.mode in _IN_PNG else turned.convert("RGB"))
    raise ValueError(f"image must be a path, bytes, a PIL image or a numpy array, got {type(image).__name__}")


def form(images: Sequence[bytes]) -> Body:
    """A form with these files in its field `image`."""
    boundary = os.urandom(16).hex()
    head = b'--%s\r\nContent-Disposition: form-data; name="image"; filename="%d"\r\n\r\n'
    parts = [head % (boundary.encode(), number) + data + b"\r\n" for number, data in enumerate(images)]
    end = f"--{boundary}--\r\n".encode()
    return Body(b"".join([*parts, end]), f"multipart/form-data; boundary={boundary}")


def _checked(array: np.ndarray) -> np.ndarray:
    shape = array.shape
    if array.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or 0 in shape:
        raise ValueError(
            f"image must be uint8 of shape (height, width) or (height, width, 3), got {array.dtype} of {shape}; "
            "several are a list"
        )
    return array


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
