import io
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from service.predicting.images import read_picture
from service.predicting.pieces import MOST_SCANS, in_too_many_pieces
from service.problems import Problem
from stn import InputConfig
from tests.pngs import chunk
from tests.service.conftest import encode, picture

WANTED = InputConfig(channels=1, height=20, width=16, mean=(0.0,), std=(1.0,))
MANY = 500_000


def animation(kind: str, frames: int = 300) -> bytes:
    file = io.BytesIO()
    first, *others = (picture(8, 8, seed=seed) for seed in range(frames))
    first.save(file, kind, save_all=True, append_images=others, duration=10)
    assert len(list(ImageSequence.Iterator(Image.open(file)))) == frames
    return file.getvalue()


ORDINARY: dict[str, Callable[[], bytes]] = {
    **{
        kind: lambda kind=kind: encode(picture(300, 200, "RGB"), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")
    },
    "progressive": lambda: encode(picture(300, 200, "RGB"), "JPEG", progressive=True),
    "much embedded": lambda: encode(picture(mode="RGB"), "JPEG", icc_profile=bytes(5_000_000), comment=b"a" * 60_000),
    "scans embedded": lambda: encode(picture(300, 200), "JPEG", comment=b"\xff\xda\0\2" * 1000),
    "comment": lambda: encode(picture(), "GIF", comment=b"a" * 200_000),
    "animated GIF": lambda: animation("GIF"),
    "animated PNG": lambda: animation("PNG"),
    "large": lambda: encode(picture(2000, 1500, "RGB"), "PNG", compress_level=0),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_what_programs_write_is_not_in_too_many_pieces(kind: str) -> None:
    data = ORDINARY[kind]()
    assert not in_too_many_pieces(data)
    assert read_picture(data, WANTED, 4_000_000).pixels.shape == (1, 20, 16)


def spliced(kind: str, place: int, pieces: bytes, **options: Any) -> bytes:
    data = encode(picture(), kind, **options)
    return data[:place] + pieces + data[place:]


def scans(count: int, side: int = 16) -> bytes:
    """A progressive JPEG whose last scan is there so many times more."""
    data = encode(Image.new("L", (side, side)), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def run_lengths(side: int) -> bytes:
    pixels = (b"\x01\x05" * side + b"\0\0") * side + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(pixels), 0, 0, 54 + 1024) + head + bytes(1024) + pixels


GIF = 13 + 3 * 256  # where the palette ends
MADE: dict[str, Callable[[], bytes]] = {
    "empty pixel chunks": lambda: spliced("PNG", 33, chunk(b"IDAT", b"") * MANY),
    "empty text chunks": lambda: spliced("PNG", 33, chunk(b"tEXt", b"") * MANY),
    "inflating profiles": lambda: spliced("PNG", 33, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**6))) * 300),
    "empty segments": lambda: spliced("JPEG", 2, b"\xff\xe3\0\2" * MANY),
    "zeros before a segment": lambda: spliced("JPEG", 2, bytes(MANY)),
    "fillers before a segment": lambda: spliced("JPEG", 2, b"\xff" * MANY),
    "fillers and nothing": lambda: b"\xff\xd8" + b"\xff" * MANY,
    "no marker": lambda: b"\xff\xd8\xff\xe0\0\2" + b"a" * MANY,
    "lengths that are no lengths": lambda: spliced("JPEG", 2, (b"\xff\xf0\xff\xff" + bytes(65_533)) * 9),
    "scans": lambda: scans(1000),
    "scans and fillers": lambda: scans(100)[:-2] + b"\xff" * MANY,
    "empty comments": lambda: spliced("GIF", GIF, b"\x21\xfe\0" * MANY),
    "empty extensions": lambda: spliced("GIF", GIF, b"\x21\xf0\1a\0" * MANY),
    "an extension that only Pillow goes on with": lambda: spliced("GIF", GIF, b"\x21\xf0\0" + b"\1," * MANY + b"\0"),
    "a loop that only Pillow goes on with": lambda: spliced(
        "GIF", GIF, b"\x21\xff\x0bNETSCAPE2.0\0" + b"\1," * MANY + b"\0"
    ),
    "zeros before a frame": lambda: spliced("GIF", GIF, bytes(MANY)),
    "run lengths": lambda: run_lengths(1000),
}


@pytest.mark.parametrize("kind", MADE)
def test_what_is_made_to_take_long_is_refused_at_once(kind: str) -> None:
    data = MADE[kind]()
    began = time.monotonic()
    with pytest.raises(Problem, match="far more pieces than any program writes") as caught:
        read_picture(data, WANTED, 1_000_000)
    assert caught.value.status == 422
    assert time.monotonic() - began < 0.5  # some milliseconds on an idle machine; Pillow takes up to seconds


def test_a_few_more_scans_than_usual_are_read() -> None:
    usual = scans(0).count(b"\xff\xda")
    assert not in_too_many_pieces(scans(MOST_SCANS - usual))
    assert in_too_many_pieces(scans(MOST_SCANS - usual + 1))


def test_a_small_bmp_of_run_lengths_is_read() -> None:
    assert read_picture(run_lengths(20), WANTED, 1_000_000).pixels.shape == (1, 20, 16)


def test_a_jpeg_that_never_ends_is_refused_in_time() -> None:
    data = encode(picture(), "JPEG")[:-2] + b"\xff" * 5_000_000
    began = time.monotonic()
    with pytest.raises(Problem, match="damaged or incomplete"):
        read_picture(data, WANTED, 1_000_000)
    assert time.monotonic() - began < 1


def test_bytes_that_end_anywhere_are_left_to_the_decoder() -> None:
    random = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
        data = encode(picture(mode="RGB"), kind)
        for length in random.integers(0, len(data), 50):
            assert not in_too_many_pieces(data[:length])
