"""From the bytes of a picture to an image of a chosen size: what is served comes out as what was trained on."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from training.declared_size import declared_size
from training.plain_png import decode_plain_png

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""The only decoders that are tried on posted bytes."""

DAMAGED = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged data."""


class UnreadablePicture(ValueError):
    """Bytes that are not a picture of the formats that were asked for, or too large a one, or a damaged one."""

    def __init__(self, kind: Literal["format", "pixels", "damage"], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def decode(data: bytes, formats: tuple[str, ...], max_pixels: int) -> Image.Image:
    """The picture as a viewer shows it, the first frame of an animation; its size is checked before it is decoded.

    Args:
        formats: Pillow's names of the only decoders that are tried.

    Raises:
        UnreadablePicture: for anything else than an undamaged picture of these formats and this size.
    """
    if "PNG" in formats and (plain := decode_plain_png(data, max_pixels)):
        return plain
    declared = declared_size(data)
    if declared and declared[0] * declared[1] > max_pixels:  # before a decoder takes memory for them
        raise _too_large(declared, max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(image.size, max_pixels)
            image.decodermaxblock = len(data)  # in one go: decoders begin anew with each block that they cannot use yet
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode == "P" and image.palette is None:
                raise UnreadablePicture("damage", "the image is damaged or incomplete (its palette is missing)")
            return image
    except UnreadablePicture:
        raise
    except UnidentifiedImageError:
        known = ", ".join(formats)
        raise UnreadablePicture("format", f"the image must be one of {known}; these bytes are none of them") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(None, max_pixels) from None
    except DAMAGED as error:
        raise UnreadablePicture("damage", f"the image is damaged or incomplete ({error})") from None


def _too_large(found: tuple[int, int] | None, max_pixels: int) -> UnreadablePicture:
    size = "far more" if found is None else f"{found[0]} x {found[1]}"
    return UnreadablePicture("pixels", f"the image must have at most {max_pixels:,} pixels, got {size}")


def convert(image: Image.Image, channels: int) -> Image.Image:
    """The image in 8 bits, grey for 1 channel and RGB for 3, what is transparent black.

    It is not copied where it is that already.
    """
    wanted = "L" if channels == 1 else "RGB"
    if image.mode == wanted and not image.has_transparency_data:
        return image
    if image.mode.startswith("I"):  # 16 bits of grey
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode == "CMYK":
        image = image.convert("RGB")
    return image.convert(wanted)


class Placement(NamedTuple):
    """Where the whole of a picture lies relative to the image that is made of it, in that image's pixels."""

    width: float
    height: float
    left: float
    """Negative where the picture is cut."""
    top: float


def placement(picture: tuple[int, int], size: tuple[int, int], fit: str = "pad") -> Placement:
    """Where a picture of this (height, width) lies in an image of that size, brought to it as `FITS[fit]` does."""
    (rows, columns), (height, width) = picture, size
    if fit == "stretch":
        return Placement(float(width), float(height), 0.0, 0.0)
    if fit == "crop":
        scale = max(width / columns, height / rows)
        whole = columns * scale, rows * scale
        return Placement(*whole, (width - whole[0]) / 2, (height - whole[1]) / 2)
    scale = min(width / columns, height / rows)
    fitted = max(1.0, float(round(columns * scale))), max(1.0, float(round(rows * scale)))  # whole pixels
    return Placement(*fitted, (width - fitted[0]) // 2, (height - fitted[1]) // 2)


def pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole picture in proportion, in the middle, on black."""
    height, width = size
    place = placement((image.height, image.width), size)
    resized = stretch(image, (int(place.height), int(place.width)))
    if resized.size == (width, height):
        return resized
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(resized, (int(place.left), int(place.top)))
    return canvas


def crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in proportion, filling the size, as much cut from one side as from the other."""
    height, width = size
    if image.size == (width, height):
        return image
    scale = max(width / image.width, height / image.height)
    columns, rows = min(image.width, width / scale), min(image.height, height / scale)
    left, top = (image.width - columns) / 2, (image.height - rows) / 2
    box = (left, top, left + columns, top + rows)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


def stretch(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole picture brought to the size, out of proportion where it must; one of that size as it is."""
    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


FITS: dict[str, Callable[[Image.Image, tuple[int, int]], Image.Image]] = {"pad": pad, "crop": crop, "stretch": stretch}
"""The ways to bring a picture to a size; a model file says which one its network knows (`InputConfig.fit`)."""


def to_bytes(image: Image.Image) -> UInt8[np.ndarray, "c h w"]:
    """The bytes of a grey or RGB image, to be read only."""
    values = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)
    return values.transpose(2, 0, 1)
