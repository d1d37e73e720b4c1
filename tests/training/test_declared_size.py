import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.declared_size import declared_size

SIZES = [(1, 1), (16, 20), (300, 7), (5, 1000)]
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("PNG", "L", {}),
    ("PNG", "P", {}),
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    ("JPEG", "RGB", {"exif": b"Exif\0\0" + bytes(60_000), "comment": b"as " * 20_000, "icc_profile": bytes(200_000)}),
    ("GIF", "P", {}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    ("WEBP", "RGBA", {}),
    ("BMP", "RGB", {}),
    ("BMP", "1", {}),
]


def written(size: tuple[int, int], kind: str, mode: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "mode", "options"), KINDS, ids=range(len(KINDS)))
def test_the_header_of_every_format_says_what_pillow_finds(
    size: tuple[int, int], kind: str, mode: str, options: dict[str, Any]
) -> None:
    assert declared_size(written(size, kind, mode, options)) == size


def test_bmps_of_the_oldest_kind_and_from_the_top_down_are_read() -> None:
    oldest = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 30, 40, 1, 24)
    downwards = b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 30, -40, 1, 24)
    assert declared_size(oldest) == declared_size(downwards) == (30, 40)


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"%PDF-1.7", b"II*\0\x08\0\0\0", b"RIFF\0\0\0\0WAVEfmt ", b"RIFF\0\0\0\0WEBPABCD" + bytes(30)],
    ids=str,
)
def test_of_other_bytes_nothing_is_known(data: bytes) -> None:
    assert declared_size(data) is None


@pytest.mark.parametrize(("kind", "mode", "options"), KINDS, ids=range(len(KINDS)))
def test_a_header_that_is_cut_off_declares_nothing_and_a_damaged_one_something_or_nothing(
    kind: str, mode: str, options: dict[str, Any]
) -> None:
    data = written((33, 44), kind, mode, options)
    assert declared_size(data[:10]) in (None, (33, 44))
    random = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data[: int(random.integers(2, len(data)))])
        damaged[int(random.integers(0, len(damaged)))] = int(random.integers(0, 256))
        found = declared_size(bytes(damaged))
        assert found is None or min(found) >= 0


def test_a_jpeg_of_thousands_of_segments_is_given_up() -> None:
    data = written((16, 20), "JPEG", "L", {})
    assert declared_size(data[:2] + b"\xff\xe3\0\2" * 400 + data[2:]) == (16, 20)
    assert declared_size(data[:2] + b"\xff\xe3\0\2" * 600 + data[2:]) is None
