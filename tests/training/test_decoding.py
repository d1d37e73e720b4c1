import pytest
from PIL import Image

from training.decoding import FITS, FORMATS, UnreadablePicture, convert, decode, placement


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (1600, 2000), (20, 16)])
def test_every_fit_brings_any_picture_to_the_size(fit: str, size: tuple[int, int]) -> None:
    image = FITS[fit](Image.new("L", size, 200), (16, 20))
    assert image.size == (20, 16)
    assert max(image.tobytes()) == 200
    assert fit == "pad" or min(image.tobytes()) == 200


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_of_the_size_keeps_its_pixels(fit: str) -> None:
    image = Image.frombytes("L", (16, 16), bytes(range(256)))
    assert FITS[fit](image, (16, 16)).tobytes() == image.tobytes()


def test_crop_of_a_picture_of_one_right_side_only_cuts() -> None:
    image = Image.frombytes("L", (32, 8), bytes(range(256)))
    assert FITS["crop"](image, (8, 8)).tobytes() == image.crop((12, 0, 20, 8)).tobytes()


def test_a_place_is_in_the_middle_and_in_proportion() -> None:
    assert placement((40, 20), (30, 50)) == (15, 30, 17, 0)


def test_what_cannot_be_decoded_is_told_apart() -> None:
    with pytest.raises(UnreadablePicture, match="these bytes are none of them") as caught:
        decode(b"hello", FORMATS, 100)
    assert caught.value.kind == "format"


def test_grey_and_rgb_are_what_pictures_are_converted_to() -> None:
    assert [convert(Image.new("RGBA", (4, 4)), channels).mode for channels in (1, 3)] == ["L", "RGB"]
