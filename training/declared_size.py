"""The size that the first bytes of a picture declare, before anything opens it."""

import struct


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) as the header of a PNG, JPEG, WebP, GIF or BMP has it, in a microsecond or a few.

    None where there is no such header. The picture is not turned as EXIF says, and of a GIF it is the screen, beyond which a
    frame may reach: what is decoded is checked again.

    >>> declared_size(b"GIF89a" + bytes([3, 0, 2, 0]))
    (3, 2)
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return _PNG.unpack_from(data, 16)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return _LITTLE.unpack_from(data, 6)
        if data.startswith(b"BM"):
            return _bmp(data)
    except struct.error:  # the header is cut off
        pass
    return None


_PNG = struct.Struct(">II")
_JPEG_SEGMENT = struct.Struct(">BBH")
_JPEG_FRAME = struct.Struct(">HH")
_LITTLE = struct.Struct("<HH")

_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_MOST_SEGMENTS = 512
"""Of a JPEG before its frame header, which takes a millisecond; photographs have some ten."""


def _jpeg(data: bytes) -> tuple[int, int] | None:
    start = 2
    for _ in range(_MOST_SEGMENTS):
        filler, marker, length = _JPEG_SEGMENT.unpack_from(data, start)
        if filler != 0xFF or length < 2:
            return None
        if marker in _JPEG_FRAMES:
            height, width = _JPEG_FRAME.unpack_from(data, start + 5)
            return width, height
        start += 2 + length
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":  # 24 bits each, less 1
        low, middle, high = struct.unpack_from("<HHH", data, 24)
        return 1 + (low | (middle & 0xFF) << 16), 1 + (middle >> 8 | high << 8)
    if kind == b"VP8L":  # 14 bits each, less 1
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":  # 14 bits, and 2 of scaling
        width, height = _LITTLE.unpack_from(data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _bmp(data: bytes) -> tuple[int, int]:
    if data[14:15] == b"\x0c":  # the oldest kind
        return _LITTLE.unpack_from(data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # rows from the top down where the height is negative
