"""Plain PNGs, the pictures that are posted most, decoded without looking for all that a PNG may hold."""

import struct
import threading
import zlib
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, compression, filter method, interlacing
_CHUNK = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")

_MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}
"""Pillow's names of the colour types that have no palette."""
_HARMLESS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7}
"""Chunks that change no pixel, and their lengths."""


def decode_plain_png(data: bytes, max_pixels: int) -> Image.Image | None:
    """The picture in an undamaged PNG of 8 bits without palette, interlacing, text or anything else that may change it.

    None for everything else: that must be opened with Pillow, which finds the same pixels in three times the time, or says
    why it is no picture. All checksums are right, which Pillow does not ask for.
    """
    if len(data) < 57 or not data.startswith(_START):
        return None
    width, height, bits, colour, *others = _HEADER.unpack_from(data, len(_START))
    mode = _MODES.get(colour)
    if mode is None or bits != 8 or any(others) or not 0 < width * height <= max_pixels:
        return None
    deflated = _pixel_data(data)
    try:
        return Image.frombytes(mode, (width, height), deflated, "zip", mode) if deflated else None
    except ValueError:
        return None


def plain_grey_pixels(data: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"] | None:
    """The pixels of such a picture where it is grey and of this (height, width), at half the cost.

    None for everything else.
    """
    height, width = size
    if not data.startswith(_grey_start(height, width)):
        return None
    deflated = _pixel_data(data)
    if not deflated:
        return None
    canvas = _CANVASES.of(size)
    try:
        canvas.image.frombytes(deflated, "zip", "L")
    except ValueError:
        return None
    return canvas.pixels.copy()


class _Canvas:
    """Memory that a picture is decoded into."""

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = self.size = size
        self.pixels = np.zeros(size, np.uint8)
        self.image = Image.frombuffer("L", (width, height), self.pixels, "raw", "L", 0, 1)  # in the same memory


class _Canvases(threading.local):
    """One of each thread: making it takes a third of the time that a small picture takes."""

    def __init__(self) -> None:
        self._last = _Canvas((1, 1))

    def of(self, size: tuple[int, int]) -> _Canvas:
        if self._last.size != size:
            self._last = _Canvas(size)
        return self._last


_CANVASES = _Canvases()


@lru_cache(64)
def _grey_start(height: int, width: int) -> bytes:
    return _START + _HEADER.pack(width, height, 8, 0, 0, 0, 0)


def _pixel_data(data: bytes) -> bytes | None:
    """What the IDAT chunks hold together; None where a chunk is damaged, out of order or of a kind not known here."""
    view = memoryview(data)
    parts: list[bytes] = []
    before, start = b"", 8
    for _ in range(1024 + len(data) // 1024):  # programs write 8 KB or more into a chunk
        if start + 12 > len(data):
            return None
        length, kind = _CHUNK.unpack_from(data, start)
        end = start + 8 + length
        if end + 4 > len(data) or zlib.crc32(view[start + 4 : end]) != _CHECKSUM.unpack_from(data, end)[0]:
            return None
        if kind == b"IDAT" and (not parts or before == b"IDAT"):
            parts.append(data[start + 8 : end])
        elif kind == b"IEND":
            return b"".join(parts)
        elif start > 8 and _HARMLESS.get(kind) != length:
            return None
        before, start = kind, end + 4
    return None
