"""From the bytes of a posted picture to what a network takes, and back to PNG."""

import binascii
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from service.predicting.pieces import in_too_many_pieces
from service.problems import Problem
from stn.config import InputConfig
from training.declared_size import declared_size
from training.decoding import FITS, FORMATS, UnreadablePicture, convert, decode, placement, to_bytes
from training.plain_png import plain_grey_pixels

SMALL_BYTES = 32_768
SMALL_PIXELS = 16_384
"""Of a small picture; see `is_small`."""

_STATUS = {"format": 415, "pixels": 413, "damage": 422}


@dataclass(slots=True, eq=False)
class Picture:
    """A posted picture, brought to a network's input size."""

    pixels: UInt8[np.ndarray, "c h w"]
    """To be read only."""
    width: int
    """Of the picture as a viewer shows it, in pixels."""
    height: int
    left: float
    """Where the picture's left edge lies in `pixels`, in pixels of the network's input; negative where it was cut."""
    top: float
    scale_x: float
    """Pixels of the picture per pixel of the network's input."""
    scale_y: float

    def from_input(self, points: Float[np.ndarray, "... n 2"]) -> Float[np.ndarray, "... n 2"]:
        """Normalised points of the network's input in pixels of the picture, 0 being its left (upper) edge."""
        scale, centre = _frame(self.pixels.shape[1:], self.left, self.top, self.scale_x, self.scale_y)
        return points * scale + centre


@lru_cache(1024)
def _frame(
    size: tuple[int, int], left: float, top: float, scale_x: float, scale_y: float
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Of the input in the picture: half its sides, and its middle."""
    height, width = size
    x, y = width / 2 * scale_x, height / 2 * scale_y
    return np.array([x, y]), np.array([x - left * scale_x, y - top * scale_y])


def read_picture(data: bytes, wanted: InputConfig, max_pixels: int) -> Picture:
    """Decode, turn as EXIF says, flatten on black, convert to the network's colours and fit into its input.

    Of an animation the first frame is taken. A picture of exactly the input's size is not resampled.

    Raises:
        Problem: 400 for no bytes, 413 for too many pixels, 415 for another format, 422 for a damaged picture.
    """
    check_bytes(data)
    if wanted.channels == 1 and wanted.height * wanted.width <= max_pixels:
        pixels = plain_grey_pixels(data, wanted.size)
        if pixels is not None:
            return Picture(pixels[None], wanted.width, wanted.height, 0.0, 0.0, 1.0, 1.0)
    return _fit(convert(_decoded(data, max_pixels), wanted.channels), wanted)


def read_whole(data: bytes, max_pixels: int) -> UInt8[np.ndarray, "c h w"]:
    """The picture in its own size, grey where it is grey and else RGB, decoded likewise."""
    check_bytes(data)
    image = _decoded(data, max_pixels)
    grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
    return to_bytes(convert(image, 1 if grey else 3))


def check_bytes(data: bytes) -> None:
    """A Problem where nothing needs to be decoded to see that it is no picture."""
    if not data:
        raise Problem(400, "the image is empty: send the bytes of a picture")
    if in_too_many_pieces(data):
        raise Problem(422, "the image is in far more pieces than any program writes: save it anew")


def _decoded(data: bytes, max_pixels: int) -> Image.Image:
    try:
        return decode(data, FORMATS, max_pixels)
    except UnreadablePicture as error:
        raise Problem(_STATUS[error.kind], str(error)) from None


def is_small(data: bytes) -> bool:
    """Whether `read_picture` takes some tenths of a millisecond of these bytes: less than a thread for it would cost.

    Whatever they are, it then takes some milliseconds at most.
    """
    size = declared_size(data)
    if size is None or size[0] * size[1] > SMALL_PIXELS or len(data) > SMALL_BYTES:
        return False
    return data[:4] in _PLAIN and not any(kind in data for kind in _INFLATED)


_PLAIN = (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xdb", b"\xff\xd8\xff\xe1")
"""How a PNG and a JPEG begin; a GIF's frame may be larger than it declares."""
_INFLATED = (b"iCCP", b"zTXt", b"iTXt")
"""Chunks of a PNG that may be a thousand times as large as they look."""


def check_pixels(pictures: Sequence[bytes], max_pixels: int, max_together: int) -> None:
    """A Problem 413 where the pictures of a request have too many pixels together, as their headers say.

    One of more than `max_pixels` does not count: it will be refused alone.
    """
    sizes = (declared_size(data) or (0, 0) for data in pictures)
    together = sum(width * height for width, height in sizes if width * height <= max_pixels)
    if together > max_together:
        raise Problem(413, f"the images must have at most {max_together:,} pixels together, got {together:,}")


def _fit(image: Image.Image, wanted: InputConfig) -> Picture:
    width, height = image.size
    if (height, width) == wanted.size:
        return Picture(to_bytes(image), width, height, 0.0, 0.0, 1.0, 1.0)
    place = placement((height, width), wanted.size, wanted.fit)
    pixels = to_bytes(FITS[wanted.fit](image, wanted.size))
    return Picture(pixels, width, height, place.left, place.top, width / place.width, height / place.height)


STORED_BYTES = 16_384
"""Up to which pixels are not compressed: it takes longer than sending them."""


def png(pixels: UInt8[np.ndarray, "c h w"] | UInt8[np.ndarray, "h w"]) -> bytes:
    """A grey (1 channel) or RGB (3 channels) image as a PNG of 8 bits."""
    image = pixels[None] if pixels.ndim == 2 else pixels
    channels, height, width = image.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with the filter's number
    rows[:, 1:] = image[0] if channels == 1 else image.transpose(1, 2, 0).reshape(height, -1)
    if rows.size <= STORED_BYTES:
        return _stored(_stored_start(channels, height, width), rows.tobytes())
    return b"".join((_start(channels, height, width), _chunk(b"IDAT", _compress(rows, channels)), _PNG_END))


def data_uri(image: bytes) -> str:
    """A PNG as text that a browser shows."""
    return "data:image/png;base64," + binascii.b2a_base64(image, newline=False).decode()


class _StoredStart(NamedTuple):
    """A PNG up to its rows, which are one block of a zlib stream."""

    before: bytes
    checksum: int
    """Of what of the chunk with the rows stands before them."""


def _stored(start: _StoredStart, rows: bytes) -> bytes:
    end = _WORD.pack(zlib.adler32(rows))
    checksum = zlib.crc32(end, zlib.crc32(rows, start.checksum))
    return b"".join((start.before, rows, end, _WORD.pack(checksum), _PNG_END))


def _compress(rows: UInt8[np.ndarray, "h n"], channels: int) -> bytes:
    """Differences between neighbours, compressed by their frequencies and runs alone."""
    differences = rows.copy()
    differences[:, 1 + channels :] -= rows[:, 1:-channels]
    differences[:, 0] = 1
    compressor = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return compressor.compress(differences.tobytes()) + compressor.flush()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((_WORD.pack(len(data)), kind, data, _WORD.pack(zlib.crc32(data, zlib.crc32(kind)))))


_LENGTHS, _WORD = struct.Struct("<HH"), struct.Struct(">I")
_PNG_END = _chunk(b"IEND", b"")


@lru_cache(256)
def _stored_start(channels: int, height: int, width: int) -> _StoredStart:
    size = height * (1 + width * channels)
    begun = b"IDATx\x01\x01" + _LENGTHS.pack(size, size ^ 0xFFFF)
    length = _WORD.pack(len(begun) - 4 + size + 4)  # without the chunk's name, with the stream's checksum
    return _StoredStart(_start(channels, height, width) + length + begun, zlib.crc32(begun))


@lru_cache(256)
def _start(channels: int, height: int, width: int) -> bytes:
    colour = 2 if channels == 3 else 0
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
