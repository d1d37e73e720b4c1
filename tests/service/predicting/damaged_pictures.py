"""Pictures of every format, and what may happen to them on their way or be done to them on purpose."""

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from tests.pngs import SIGNATURE, chunk, header, png_of
from tests.service.conftest import encode, picture

MAGICS = (SIGNATURE, b"\xff\xd8\xff", b"GIF89a", b"GIF87a", b"BM", b"RIFF\x40\0\0\0WEBPVP8 ", b"RIFF\x40\0\0\0WEBPVP8L")
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Random = np.random.Generator


def seeds() -> list[bytes]:
    """Undamaged pictures, of each kind that a format has."""
    colour, grey = picture(40, 30, "RGB"), picture(33, 21)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames: dict[str, Any] = {"save_all": True, "append_images": [picture(40, 30, "RGB", 1)], "duration": 9}
    samples = np.random.default_rng(0).integers(0, 256, (9, 11, 3))
    return [
        encode(grey),
        encode(colour),
        encode(colour.convert("P"), transparency=3),
        encode(colour.convert("RGBA"), exif=exif),
        encode(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)),
        encode(colour, **frames),
        encode(grey, icc_profile=b"profile" * 9, dpi=(90, 90)),
        png_of(samples, 2, 8, (4, 3, 2, 1), interlace=True),
        encode(grey, "JPEG"),
        encode(colour, "JPEG", exif=exif, comment=b"hello"),
        encode(colour, "JPEG", progressive=True),
        encode(colour.convert("CMYK"), "JPEG"),
        encode(grey, "GIF", comment=b"hello"),
        encode(colour, "GIF", **frames),
        encode(grey, "BMP"),
        encode(colour, "BMP"),
        encode(grey.convert("1"), "BMP"),
        encode(colour, "WEBP"),
        encode(colour.convert("RGBA"), "WEBP", lossless=True, exif=exif),
        encode(colour, "WEBP", **frames),
    ]


def flipped(data: bytes, _: bytes, random: Random) -> bytes:
    damaged = bytearray(data)
    for place in random.integers(0, len(data), int(random.integers(1, 9))):
        damaged[place] ^= 1 << int(random.integers(0, 8))
    return bytes(damaged)


def truncated(data: bytes, _: bytes, random: Random) -> bytes:
    return data[: int(random.integers(0, len(data)))]


def spliced(data: bytes, other: bytes, random: Random) -> bytes:
    return data[: int(random.integers(0, len(data)))] + other[int(random.integers(0, len(other))) :]


def repeated(data: bytes, _: bytes, random: Random) -> bytes:
    start, end = sorted(random.integers(0, len(data), 2).tolist())
    return data[:end] + data[start:end] * int(random.integers(1, 20)) + data[end:]


def cut(data: bytes, _: bytes, random: Random) -> bytes:
    start, end = sorted(random.integers(0, len(data), 2).tolist())
    return data[:start] + data[end:]


def lying(data: bytes, _: bytes, random: Random) -> bytes:
    """Sizes and lengths, which stand in the first bytes, that are not true."""
    damaged = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        value, place = int(random.choice(EXTREMES)), int(random.integers(2, min(64, len(data))))
        order, width = random.choice(["big", "little"]), int(random.choice([2, 4]))
        damaged[place : place + width] = (value % 256**width).to_bytes(width, order)  # type: ignore[arg-type]
    return bytes(damaged)


def rewritten(data: bytes, other: bytes, random: Random) -> bytes:
    """A PNG whose chunks are damaged or out of order, but have the right checksums."""
    chunks = [*_chunks(data), *_chunks(other)][: int(random.integers(3, 12))]
    for _ in range(int(random.integers(1, 4))):
        number, place = random.integers(0, len(chunks), 2).tolist()
        kind, content = chunks[number]
        chunks[number] = kind, flipped(content, b"", random) if content else content
        chunks.insert(place, chunks.pop(number))
    return SIGNATURE + b"".join(chunk(kind, content) for kind, content in chunks)


def huge(_: bytes, __: bytes, random: Random) -> bytes:
    """A PNG that claims any size, and pixels that inflate to far more, or to less, than that takes."""
    width, height = (int(random.choice([1, 20, 999, 60_000, 2**31 - 1])) for _ in range(2))
    bits, colour = [(8, 0), (8, 2), (8, 6), (16, 2), (1, 0), (8, 3)][int(random.integers(0, 6))]
    bomb = zlib.compress(bytes(int(random.choice([0, 1000, 3_000_000]))), 9)
    return SIGNATURE + header(width, height, bits, colour, int(random.integers(0, 2))) + chunk(b"IDAT", bomb) * 2


def invented(_: bytes, __: bytes, random: Random) -> bytes:
    magic = MAGICS[int(random.integers(0, len(MAGICS)))]
    return magic + random.bytes(int(random.integers(0, 300)))


DAMAGES: list[Callable[[bytes, bytes, Random], bytes]] = [
    flipped,
    truncated,
    spliced,
    repeated,
    cut,
    lying,
    rewritten,
    huge,
    invented,
]


def damaged_pictures(seed: int) -> Iterator[bytes]:
    """Pictures without end, of every format and with every damage in turn."""
    random = np.random.default_rng(seed)
    undamaged = seeds()
    for data, damage in itertools.cycle(itertools.product(undamaged, DAMAGES)):
        yield damage(data, undamaged[int(random.integers(0, len(undamaged)))], random)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kinds and contents where it is a PNG, and some of both where it is not."""
    if not data.startswith(SIGNATURE):
        return [(b"tEXt", data[:50]), (b"IDAT", zlib.compress(data))]
    found, file = [], io.BytesIO(data[8:])
    while start := file.read(8):
        length, kind = struct.unpack(">I4s", start)
        found.append((kind, file.read(length)))
        file.read(4)
    return found
