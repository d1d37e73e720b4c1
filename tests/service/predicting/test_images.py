import dataclasses
import io
import shutil
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.predicting.images import SMALL_PIXELS, STORED_BYTES, check_pixels, data_uri, is_small, png, read_picture
from service.problems import Problem
from stn import InputConfig
from tests.pngs import chunk
from tests.service.conftest import encode, picture
from training.decoding import FITS

MAX_PIXELS = 1_000_000


def wanted(channels: int = 1, height: int = 20, width: int = 16) -> InputConfig:
    return InputConfig(channels=channels, height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels)


def read(data: bytes, channels: int = 1) -> np.ndarray:
    return read_picture(data, wanted(channels), MAX_PIXELS).pixels


def huge_png(width: int, height: int) -> bytes:
    """A PNG of some kilobytes that claims, truthfully, to be all black and this large."""

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    compressor = zlib.compressobj(9)
    row = bytes(1 + -(-width // 8))
    body = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_a_picture_of_the_right_size_keeps_its_pixels(kind: str) -> None:
    image = picture()
    assert np.array_equal(read(encode(image, kind))[0], image)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_are_read(kind: str) -> None:
    image = picture().resize((4, 5)).resize((16, 20), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(read(encode(image, kind, quality=95))[0], np.asarray(image, float), atol=25)


def test_a_picture_of_another_shape_is_fitted_in_the_middle_on_black() -> None:
    found = read_picture(encode(Image.new("L", (40, 20), 255)), wanted(), MAX_PIXELS)
    assert found.pixels[0, 6:14].min() == 255  # 16x8 of 16x20
    assert found.pixels[0, :6].max() == found.pixels[0, 14:].max() == 0
    corners = np.array([[-1.0, -0.4], [1.0, 0.4]])  # of the picture inside the input
    np.testing.assert_allclose(found.from_input(corners), [[0.0, 0.0], [40.0, 20.0]], atol=1e-12)


@pytest.mark.parametrize("fit", FITS)
def test_a_point_of_the_input_is_known_in_the_picture_however_that_was_fitted(fit: str) -> None:
    image = Image.new("L", (100, 40))
    image.paste(255, (58, 12, 66, 20))  # centre (62, 16)
    found = read_picture(encode(image), dataclasses.replace(wanted(), fit=fit), MAX_PIXELS)
    rows, columns = np.arange(20) + 0.5, np.arange(16) + 0.5
    weights = found.pixels[0] / found.pixels.sum()
    centre = np.array([(weights * columns).sum() / 8 - 1, (weights * rows[:, None]).sum() / 10 - 1])  # normalised
    np.testing.assert_allclose(found.from_input(centre[None]), [[62.0, 16.0]], atol=0.5)
    grid = np.stack([centre, centre])[None]
    np.testing.assert_allclose(found.from_input(grid.astype(np.float32)), [[[62.0, 16.0]] * 2], atol=0.5)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (1600, 2000)])
def test_any_size_is_brought_to_the_input(size: tuple[int, int]) -> None:
    found = read_picture(encode(Image.new("L", size, 200)), wanted(), 4_000_000)
    assert found.pixels.shape == (1, 20, 16)
    assert found.pixels.max() == 200
    assert (found.width, found.height) == size


def test_the_exif_flag_turns_the_picture_upright() -> None:
    upright = picture(20, 16).rotate(90, expand=True)  # 16x20
    exif = Image.Exif()
    exif[0x0112] = 8  # "turn by 90 degrees anticlockwise to show"
    found = read_picture(encode(picture(20, 16), "PNG", exif=exif), wanted(), MAX_PIXELS)
    assert (found.width, found.height) == (16, 20)
    assert np.array_equal(found.pixels[0], upright)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_black(mode: str) -> None:
    image = Image.new(mode, (16, 20), (255,) * (len(mode) - 1) + (0,))
    image.paste((255,) * len(mode), (0, 0, 16, 10))
    pixels = read(encode(image))
    assert pixels[0, :10].min() == 255
    assert pixels[0, 10:].max() == 0


def test_half_transparent_white_is_grey() -> None:
    assert np.unique(read(encode(Image.new("LA", (16, 20), (255, 128))))).tolist() == [128]


def test_a_palette_with_a_transparent_colour_is_flattened() -> None:
    image = Image.new("P", (16, 20), 0)
    image.putpalette([255, 255, 255, 255, 0, 0])
    image.paste(1, (0, 0, 16, 10))
    pixels = read(encode(image, transparency=0), channels=3)
    assert pixels[:, 10:].max() == 0
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]


def test_sixteen_bits_become_eight_by_the_full_range() -> None:
    values = np.linspace(0, 65535, 320).round().astype(np.uint16).reshape(20, 16)
    pixels = read(encode(Image.fromarray(values)))
    np.testing.assert_allclose(pixels[0], values / 257, atol=1)
    assert pixels.max() == 255


def test_one_bit_becomes_black_and_white() -> None:
    assert np.unique(read(encode(picture().convert("1")))).tolist() == [0, 255]


def test_cmyk_is_converted() -> None:
    image = Image.new("CMYK", (16, 20), (0, 255, 255, 0))  # red
    red, green, blue = read(encode(image, "JPEG", quality=95), channels=3).mean((1, 2)).tolist()
    assert red > 230
    assert max(green, blue) < 38


def test_grey_becomes_colour_and_colour_grey() -> None:
    assert read(encode(picture(mode="L")), channels=3).shape == (3, 20, 16)
    assert read(encode(picture(mode="RGB")), channels=1).shape == (1, 20, 16)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    first, second = picture(seed=1), picture(seed=2)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second], duration=10)
    assert np.array_equal(read(file.getvalue())[0], first)


@pytest.mark.parametrize("size", [(20_000, 20_000), (3000, 3000), (11_000, 11_000)])
def test_more_pixels_than_allowed_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    data = huge_png(*size)
    assert len(data) < 100_000
    with pytest.raises(Problem, match=r"the image must have at most 1,000,000 pixels, got") as caught:
        read(data)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"", 400, "the image is empty"),
        (b"hello", 415, "must be one of PNG, JPEG, WEBP, GIF, BMP; these bytes are none of them"),
        (b"%PDF-1.7 something", 415, "these bytes are none of them"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "these bytes are none of them"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_to_mend(data: bytes, status: int, message: str) -> None:
    with pytest.raises(Problem, match=message) as caught:
        read(data)
    assert caught.value.status == status


def test_a_format_that_is_not_named_is_never_opened() -> None:
    with pytest.raises(Problem, match="these bytes are none of them"):
        read(encode(picture(), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_every_truncation_is_refused_or_read_but_never_an_error_of_ours(kind: str) -> None:
    data = encode(picture(40, 40, "RGB"), kind)
    refused = 0
    for length in range(1, len(data), max(1, len(data) // 97)):
        try:
            read(data[:length])
        except Problem as problem:
            assert problem.status in (415, 422)  # noqa: PT017
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_every_flipped_byte_is_refused_or_read_but_never_an_error_of_ours(kind: str) -> None:
    data = encode(picture(12, 12, "RGB"), kind)
    random = np.random.default_rng(0)
    for position in random.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[position] ^= int(random.integers(1, 256))
        try:
            assert read(bytes(damaged)).shape == (1, 20, 16)
        except Problem as problem:
            assert problem.status in (413, 415, 422)  # noqa: PT017


def test_an_enormous_webp_is_refused_before_memory_is_taken_for_its_canvas() -> None:
    data = encode(picture(), "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    huge = data.replace(struct.pack("<HBHB", 15, 0, 19, 0), struct.pack("<HBHB", 12_000, 0, 12_000, 0))
    assert huge != data
    with pytest.raises(Problem, match="at most 1,000,000 pixels, got 12001 x 12001"):
        read(huge)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_small_picture_is_known_by_its_first_bytes(kind: str) -> None:
    assert is_small(encode(picture(28, 28, "RGB"), kind))
    assert not is_small(encode(Image.new("L", (SMALL_PIXELS + 1, 1)), kind))
    assert not is_small(encode(picture(120, 120, "RGB"), kind) + bytes(32_768))


@pytest.mark.parametrize("data", [b"", b"hello", encode(picture(), "GIF"), encode(picture(), icc_profile=b"a" * 99)])
def test_what_may_become_large_is_not_small(data: bytes) -> None:
    assert not is_small(data)


def test_the_pixels_of_a_request_are_counted_together() -> None:
    pictures = [encode(Image.new("L", (100, 50)), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]
    check_pixels([*pictures, b"", b"hello", huge_png(3000, 3000)], MAX_PIXELS, 25_000)
    with pytest.raises(Problem, match="at most 24,999 pixels together, got 25,000") as caught:
        check_pixels(pictures, MAX_PIXELS, 24_999)
    assert caught.value.status == 413


SHAPES = st.tuples(st.sampled_from([1, 3]), st.integers(1, 90), st.integers(1, 90))


@given(shape=SHAPES, seed=st.integers(0, 2**32 - 1), top=st.sampled_from([2, 256]))
@settings(deadline=None, max_examples=60)
def test_png_keeps_every_pixel_for_everybody_who_reads_it(shape: tuple[int, int, int], seed: int, top: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, top, shape, dtype=np.uint8)
    data = png(pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == ("L" if shape[0] == 1 else "RGB")
        assert np.array_equal(np.array(image).reshape(*shape[1:], shape[0]).transpose(2, 0, 1), pixels)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).reshape(*shape[1:], shape[0])
    assert np.array_equal(found[..., ::-1].transpose(2, 0, 1), pixels)  # OpenCV has blue first
    if shape[0] == 1:
        assert png(pixels[0]) == data


def test_large_pictures_are_compressed_and_small_ones_stored() -> None:
    black = np.zeros((1, 200, 200), np.uint8)
    assert black.size > STORED_BYTES
    assert len(png(black)) < 1000
    assert 784 < len(png(black[:, :28, :28])) < 900


@pytest.mark.browser
def test_a_browser_shows_every_pixel() -> None:
    from playwright.sync_api import sync_playwright

    from tests.service.page.conftest import ARGUMENTS, BROWSERS

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)} is on the path")
    draw = """async uri => {
        const image = new Image();
        image.src = uri;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return Array.from(canvas.getImageData(0, 0, image.width, image.height).data);
    }"""
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=ARGUMENTS) as browser:
        page = browser.new_page()
        for shape in [(1, 28, 28), (3, 28, 20), (1, 140, 150), (3, 100, 70)]:
            pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            shown = np.array(page.evaluate(draw, data_uri(png(pixels))), np.uint8).reshape(*shape[1:], 4)
            assert np.array_equal(shown[..., :3].transpose(2, 0, 1), np.broadcast_to(pixels, (3, *shape[1:])))
            assert (shown[..., 3] == 255).all()
