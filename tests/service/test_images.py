import dataclasses
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from service.images import png, read_picture
from service.problems import Problem
from stn import InputConfig
from tests.service.conftest import encode, picture
from training.decoding import FITS

MAX_PIXELS = 1_000_000


def wanted(channels: int = 1, height: int = 20, width: int = 16) -> InputConfig:
    return InputConfig(channels=channels, height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels)


def read(data: bytes, channels: int = 1) -> torch.Tensor:
    return read_picture(data, wanted(channels), MAX_PIXELS).pixels


def huge_png(width: int, height: int) -> bytes:
    """A PNG of some kilobytes that claims, truthfully, to be all black and this large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    compressor = zlib.compressobj(9)
    row = bytes(1 + -(-width // 8))
    body = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_a_picture_of_the_right_size_keeps_its_pixels(kind: str) -> None:
    image = picture()
    expected = torch.from_numpy(np.array(image)).float()[None] / 255
    assert torch.equal(read(encode(image, kind)), expected)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_are_read(kind: str) -> None:
    image = picture().resize((4, 5)).resize((16, 20), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(image)).float()[None] / 255
    torch.testing.assert_close(read(encode(image, kind, quality=95)), expected, atol=0.1, rtol=0)


def test_a_picture_of_another_shape_is_fitted_in_the_middle_on_black() -> None:
    found = read_picture(encode(Image.new("L", (40, 20), 255)), wanted(), MAX_PIXELS)
    assert found.pixels[0, 6:14].min() == 1  # 16x8 of 16x20
    assert found.pixels[0, :6].max() == found.pixels[0, 14:].max() == 0
    corners = torch.tensor([[-1.0, -0.4], [1.0, 0.4]])  # of the picture inside the input
    torch.testing.assert_close(found.from_input(corners), torch.tensor([[0.0, 0.0], [40.0, 20.0]]))


@pytest.mark.parametrize("fit", FITS)
def test_a_point_of_the_input_is_known_in_the_picture_however_that_was_fitted(fit: str) -> None:
    image = Image.new("L", (100, 40))
    image.paste(255, (58, 12, 66, 20))  # centre (62, 16)
    found = read_picture(encode(image), dataclasses.replace(wanted(), fit=fit), MAX_PIXELS)
    rows, columns = torch.arange(20) + 0.5, torch.arange(16) + 0.5
    weights = found.pixels[0] / found.pixels.sum()
    centre = torch.stack([(weights * columns).sum() / 8 - 1, (weights * rows[:, None]).sum() / 10 - 1])  # normalised
    torch.testing.assert_close(found.from_input(centre[None]), torch.tensor([[62.0, 16.0]]), atol=0.5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (1600, 2000)])
def test_any_size_is_brought_to_the_input(size: tuple[int, int]) -> None:
    found = read_picture(encode(Image.new("L", size, 200)), wanted(), 4_000_000)
    assert found.pixels.shape == (1, 20, 16)
    assert found.pixels.max() == pytest.approx(200 / 255)
    assert (found.width, found.height) == size


def test_the_exif_flag_turns_the_picture_upright() -> None:
    upright = picture(20, 16).rotate(90, expand=True)  # 16x20
    exif = Image.Exif()
    exif[0x0112] = 8  # "turn by 90 degrees anticlockwise to show"
    found = read_picture(encode(picture(20, 16), "PNG", exif=exif), wanted(), MAX_PIXELS)
    assert (found.width, found.height) == (16, 20)
    assert torch.equal(found.pixels, torch.from_numpy(np.array(upright)).float()[None] / 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_black(mode: str) -> None:
    image = Image.new(mode, (16, 20), (255,) * (len(mode) - 1) + (0,))
    image.paste((255,) * len(mode), (0, 0, 16, 10))
    pixels = read(encode(image))
    assert pixels[0, :10].min() == 1
    assert pixels[0, 10:].max() == 0


def test_half_transparent_white_is_grey() -> None:
    assert read(encode(Image.new("LA", (16, 20), (255, 128)))).unique().tolist() == pytest.approx([128 / 255])


def test_a_palette_with_a_transparent_colour_is_flattened() -> None:
    image = Image.new("P", (16, 20), 0)
    image.putpalette([255, 255, 255, 255, 0, 0])
    image.paste(1, (0, 0, 16, 10))
    pixels = read(encode(image, transparency=0), channels=3)
    assert pixels[:, 10:].max() == 0
    assert pixels[:, 0, 0].tolist() == [1, 0, 0]


def test_sixteen_bits_become_eight_by_the_full_range() -> None:
    values = np.linspace(0, 65535, 320).round().astype(np.uint16).reshape(20, 16)
    pixels = read(encode(Image.fromarray(values)))
    expected = torch.from_numpy(values.astype(np.float32))[None] / 65535
    torch.testing.assert_close(pixels, expected, atol=1 / 255, rtol=0)
    assert pixels.max() == 1


def test_one_bit_becomes_black_and_white() -> None:
    assert read(encode(picture().convert("1"))).unique().tolist() == [0, 1]


def test_cmyk_is_converted() -> None:
    image = Image.new("CMYK", (16, 20), (0, 255, 255, 0))  # red
    red, green, blue = read(encode(image, "JPEG", quality=95), channels=3).mean((1, 2)).tolist()
    assert red > 0.9
    assert max(green, blue) < 0.15


def test_grey_becomes_colour_and_colour_grey() -> None:
    assert read(encode(picture(mode="L")), channels=3).shape == (3, 20, 16)
    assert read(encode(picture(mode="RGB")), channels=1).shape == (1, 20, 16)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    first, second = picture(seed=1), picture(seed=2)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second], duration=10)
    assert torch.equal(read(file.getvalue()), torch.from_numpy(np.array(first)).float()[None] / 255)


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


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_eight_bit_pixels(channels: int) -> None:
    pixels = torch.randint(0, 256, (channels, 5, 7)).float() / 255
    with Image.open(io.BytesIO(png(pixels))) as image:
        found = torch.from_numpy(np.array(image)).view(5, 7, channels).permute(2, 0, 1).float() / 255
    assert torch.equal(found, pixels)
