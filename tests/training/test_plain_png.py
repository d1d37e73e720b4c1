import io
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.pngs import KINDS, SAMPLES, SIGNATURE, assemble, chunk, header, png_of
from training.decoding import DAMAGED, convert
from training.plain_png import decode_plain_png as decode_any
from training.plain_png import plain_grey_pixels

MAX_PIXELS = 100_000


def decode_plain_png(data: bytes, max_pixels: int) -> Image.Image | None:
    """The picture, after it was seen that `plain_grey_pixels` finds the same."""
    found = decode_any(data, max_pixels)
    width, height = found.size if found else (19, 6)
    pixels = plain_grey_pixels(data, (height, width))
    if found and found.mode == "L":
        assert pixels is not None
        assert pixels.tobytes() == found.tobytes()
        assert plain_grey_pixels(data, (height, width + 1)) is None
    elif max_pixels == MAX_PIXELS:
        assert pixels is None
    return found


def by_pillow(data: bytes) -> Image.Image | None:
    """The picture as Pillow opens it; None where it refuses."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except DAMAGED:
        return None


def samples(colour: int, bits: int, height: int = 19, width: int = 13, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**bits, (height, width, SAMPLES[colour]))


def is_same(found: Image.Image, expected: Image.Image | None) -> bool:
    if expected is None or (found.mode, found.size) != (expected.mode, expected.size):
        return False
    return all(convert(found, c).tobytes() == convert(expected, c).tobytes() for c in (1, 3))


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize(("colour", "bits"), KINDS)
@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0)], ids=str)
def test_a_plain_picture_has_the_pixels_that_pillow_finds(
    colour: int, bits: int, filters: tuple[int, ...], interlace: bool
) -> None:
    data = png_of(samples(colour, bits), colour, bits, filters, interlace)
    found, expected = decode_plain_png(data, MAX_PIXELS), by_pillow(data)
    assert expected is not None
    assert (found is not None) == (bits == 8 and colour != 3 and not interlace)
    assert found is None or (is_same(found, expected) and found.tobytes() == expected.tobytes())


@given(
    colour=st.sampled_from([0, 2, 4, 6]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    filters=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    parts=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=150)
def test_any_plain_picture_has_the_pixels_that_were_written(
    colour: int, size: tuple[int, int], filters: list[int], parts: int, seed: int
) -> None:
    pixels = samples(colour, 8, *size, seed)
    found = decode_plain_png(png_of(pixels, colour, 8, filters, parts=parts), MAX_PIXELS)
    assert found is not None
    assert found.tobytes() == pixels.astype(np.uint8).tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "P", "1", "I;16"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"compress_level": 0}, {"dpi": (72, 72)}], ids=str)
def test_what_pillow_writes_is_read_as_pillow_reads_it(mode: str, options: dict[str, Any]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8))
    file = io.BytesIO()
    image.convert("L").convert(mode).save(file, "PNG", **options)
    found = decode_plain_png(file.getvalue(), MAX_PIXELS)
    assert (found is not None) == (mode in ("L", "RGB", "LA", "RGBA"))
    assert found is None or is_same(found, by_pillow(file.getvalue()))


DEFLATED = zlib.compress(bytes(20) * 6)  # 19x6 grey
HEAD = header(19, 6)
OTHERS = {
    "tRNS": b"\0\0",
    "eXIf": b"II*\0\x08\0\0\0\0\0\0\0\0\0",
    "tEXt": b"Raw profile type exif\0",
    "acTL": b"\0\0\0\1\0\0\0\0",
    "iCCP": b"name\0\0" + zlib.compress(b"profile"),
    "PLTE": b"abc",
    "gAMA": b"\0\0",
    "IHDR": HEAD[8:-4],
    "none": b"",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("place", ["before", "after"])
def test_what_may_change_the_picture_is_left_to_pillow(kind: str, place: str) -> None:
    assert decode_plain_png(assemble(HEAD, DEFLATED), MAX_PIXELS) is not None
    other = chunk(kind.encode(), OTHERS[kind])
    assert decode_plain_png(assemble(HEAD, DEFLATED, **{place: other}), MAX_PIXELS) is None


@pytest.mark.parametrize("kind", ["gAMA", "cHRM", "sRGB", "pHYs", "tIME"])
def test_what_says_only_how_pixels_are_meant_changes_nothing(kind: str) -> None:
    length = {"gAMA": 4, "cHRM": 32, "sRGB": 1, "pHYs": 9, "tIME": 7}[kind]
    data = assemble(HEAD, DEFLATED, before=chunk(kind.encode(), bytes(length)))
    found = decode_plain_png(data, MAX_PIXELS)
    assert found is not None
    assert is_same(found, by_pillow(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SIGNATURE,
        assemble(HEAD, DEFLATED)[:-1],
        assemble(HEAD, DEFLATED[:-5]),
        assemble(HEAD, DEFLATED[:-4] + b"sums"),
        assemble(HEAD, zlib.compress(bytes(20 * 6 - 1))),
        assemble(HEAD, zlib.compress(b"\7" + bytes(19) + bytes(20) * 5)),  # no such filter
        assemble(HEAD, b""),
        assemble(header(0, 6), DEFLATED),
        assemble(header(19, 2**31), DEFLATED),
        SIGNATURE + HEAD + chunk(b"IEND", b""),
        SIGNATURE + HEAD + chunk(b"IDAT", DEFLATED[:5]) + chunk(b"sRGB", b"\0") + chunk(b"IDAT", DEFLATED[5:]),
        SIGNATURE + chunk(b"IDAT", DEFLATED) + HEAD + chunk(b"IEND", b""),
    ],
    ids=range(13),
)
def test_what_is_damaged_is_left_to_pillow(data: bytes) -> None:
    assert decode_plain_png(data, MAX_PIXELS) is None


def test_more_pixels_than_allowed_are_left_to_whoever_refuses_them() -> None:
    data = assemble(HEAD, DEFLATED)
    assert decode_plain_png(data, 19 * 6) is not None
    assert decode_plain_png(data, 19 * 6 - 1) is None


def test_a_picture_in_thousands_of_empty_chunks_is_given_up_in_time() -> None:
    data = assemble(HEAD, DEFLATED, before=chunk(b"sRGB", b"\0") * 2000)
    assert decode_plain_png(data, MAX_PIXELS) is None


def test_no_damage_is_read_as_another_picture_than_pillow_reads() -> None:
    random = np.random.default_rng(0)
    read = 0
    for number in range(1500):
        colour = (0, 2, 4, 6)[number % 4]
        rows = [bytes([int(random.integers(0, 6))]) + random.bytes(5 * SAMPLES[colour]) for _ in range(6)]
        deflated = zlib.compress(b"".join(rows))[: None if number % 5 else int(random.integers(1, 60))]
        data = bytearray(assemble(header(5, 6, 8, colour), deflated, parts=1 + number % 3))
        for _ in range(number % 3):
            data[int(random.integers(8, len(data)))] = int(random.integers(0, 256))
        mended = _mended(bytes(data)) if number % 2 else bytes(data)
        found = decode_plain_png(mended, MAX_PIXELS)
        read += found is not None
        assert found is None or is_same(found, by_pillow(mended))
    assert 100 < read < 1400


def _mended(data: bytes) -> bytes:
    """The same chunks with right checksums, so that what they hold is looked at."""
    chunks, start = [], 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        chunks.append(chunk(data[start + 4 : start + 8], data[start + 8 : end]))
        start = end + 4
    return data[:8] + b"".join(chunks)
