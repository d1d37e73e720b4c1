"""Files that are made to take minutes: in far more pieces than any camera or program writes.

Pillow looks at the pieces of a file one by one, in Python, and a JPEG is decoded once for each of its scans: 20 MB of empty
segments took 22 s, and 30 KB with 1,000 scans 3 s for each 4 million pixels. Pieces are counted before a decoder sees them.
"""

import re
import struct

MOST_SEGMENTS = 512
"""Of a JPEG, whose segments have up to 64 KB."""
MOST_SCANS = 64
"""Of a JPEG; programs write some ten."""
MOST_JUNK = 65_536
"""Bytes between the segments of a JPEG's header."""
MOST_NOTES = 256
"""Chunks of a PNG that hold no pixels."""
MOST_BLOCKS = 4096
"""Of a GIF, of up to 255 bytes, before its first frame."""
MOST_RUN_LENGTH = 262_144
"""Bytes and pixels of a BMP that is compressed by run lengths, which Pillow decodes in Python."""


def in_too_many_pieces(data: bytes) -> bool:
    """Whether these bytes are a PNG, JPEG, GIF or BMP of more pieces than any program writes.

    It takes some milliseconds where they are, and a microsecond or a few for an ordinary picture.
    """
    try:
        if data.startswith(b"\x89PNG"):
            return _png(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith(b"GIF8"):
            return _gif(data)
        if data.startswith(b"BM"):
            return _bmp(data)
    except (struct.error, IndexError):  # they end early, and so does the decoder
        pass
    return False


def _png(data: bytes) -> bool:
    start, notes = 8, 0
    for _ in range(1024 + len(data) // 1024):
        length, kind = _CHUNK.unpack_from(data, start)
        if kind == b"IEND":
            return False
        if kind not in (b"IDAT", b"fdAT", b"fcTL"):
            notes += 1
            if notes > MOST_NOTES:
                return True
        start += 12 + length
    return True


_CHUNK = struct.Struct(">I4s")


def _jpeg(data: bytes) -> bool:
    few_scans = data.count(b"\xff\xda") <= MOST_SCANS  # in the picture and in all that is embedded
    start, scans, junk = 2, 0, 0
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, start, len(data) if scans else start + MOST_JUNK)
        if found is None:
            return not scans and len(data) - start > MOST_JUNK
        marker = found[1][0]
        scans += marker == _SCAN
        if scans > MOST_SCANS:
            return True
        if scans == 0:
            junk += found.end() - start - 2
            if junk > MOST_JUNK:
                return True
        elif few_scans or marker == _END:
            return False
        without = marker in _WITHOUT_LENGTH
        start = found.end() + (0 if without else _LENGTH.unpack_from(data, found.end())[0])
    return True


_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
"""What is neither a filler, nor an escaped byte of pixel data, nor a place to restart at."""
_LENGTH = struct.Struct(">H")
_SCAN, _END = 0xDA, 0xD9
_WITHOUT_LENGTH = {0x01, 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)}
"""Markers behind which Pillow looks for the next at once."""


def _gif(data: bytes) -> bool:
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)  # behind the palette
    left = MOST_BLOCKS
    while left > 0:
        if data[start] in _FRAME_OR_END:
            return False
        if data[start] != _EXTENSION:
            start, left = start + 1, left - 1
            continue
        comment, start, left = data[start + 1] == _COMMENT, start + 2, left - 1
        # As Pillow reads them: an empty block does not end an extension that begins with it, unless it is a comment.
        skipped = 0 if comment else 2 if data.startswith(b"NETSCAPE2.0", start + 1) else 1
        while data[start] or skipped > 0:
            start, left, skipped = start + 1 + data[start], left - 1, skipped - 1
            if left <= 0:
                return True
        start += 1
    return True


_EXTENSION, _COMMENT, _FRAME_OR_END = 0x21, 0xFE, b",;"


def _bmp(data: bytes) -> bool:
    (kind,) = _KIND.unpack_from(data, 14)
    if kind < 40 or _KIND.unpack_from(data, 30)[0] not in _RUN_LENGTHS:
        return False
    width, height = _SIDES.unpack_from(data, 18)
    return max(len(data), abs(width * height)) > MOST_RUN_LENGTH


_KIND, _SIDES, _RUN_LENGTHS = struct.Struct("<I"), struct.Struct("<ii"), (1, 2)
