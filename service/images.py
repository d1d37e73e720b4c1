"""From the bytes of a posted picture to what a network takes, and back to PNG."""

import base64
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from service.problems import Problem
from stn import InputConfig, to_pixels

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""The only decoders that are ever tried."""

_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged data."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A posted picture, brought to a network's input size."""

    pixels: Float[Tensor, "c h w"]
    """In [0, 1]; the picture in the middle, its sides in proportion, on black."""
    width: int
    """Of the picture as a viewer shows it, in pixels."""
    height: int
    left: int
    """Where the picture's left edge lies in `pixels`, in pixels of the network's input."""
    top: int
    scale_x: float
    """Pixels of the picture per pixel of the network's input."""
    scale_y: float

    def from_input(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Normalised points of the network's input in pixels of the picture, 0 being its left (upper) edge."""
        inside = to_pixels(points, (self.pixels.shape[-2], self.pixels.shape[-1]))
        return (inside - inside.new_tensor([self.left, self.top])) * inside.new_tensor([self.scale_x, self.scale_y])


def read_picture(data: bytes, wanted: InputConfig, max_pixels: int) -> Picture:
    """Decode, turn as EXIF says, flatten on black, convert to the network's colours and fit into its input.

    Of an animation the first frame is taken. A picture of exactly the input's size is not resampled.

    Raises:
        Problem: 400 for no bytes, 413 for too many pixels, 415 for another format, 422 for a damaged picture.
    """
    if not data:
        raise Problem(400, "the image is empty: send the bytes of a picture")
    return _fit(_convert(_decode(data, max_pixels), wanted.channels), wanted)


def png(pixels: Float[Tensor, "c h w"]) -> bytes:
    """Pixels in [0, 1] as a grey or RGB PNG of 8 bits."""
    values = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    array = values[0].numpy() if len(values) == 1 else values.permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", compress_level=1)
    return file.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG as text that a browser shows."""
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _decode(data: bytes, max_pixels: int) -> Image.Image:
    """The picture as a viewer shows it; its size is checked before its pixels are decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_large(f"{width} x {height}", max_pixels)
            image.load()
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise Problem(415, f"the image must be one of {', '.join(FORMATS)}; these bytes are none of them") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("far more", max_pixels) from None
    except _DAMAGED as error:
        raise Problem(422, f"the image is damaged or incomplete ({error})") from None


def _too_large(found: str, max_pixels: int) -> Problem:
    return Problem(413, f"the image must have at most {max_pixels:,} pixels, got {found}")


def _convert(image: Image.Image, channels: int) -> Image.Image:
    """The image in 8 bits, grey or RGB, what is transparent black."""
    if image.mode.startswith("I"):  # 16 bits of grey
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode == "CMYK":
        image = image.convert("RGB")
    return image.convert("L" if channels == 1 else "RGB")


def _fit(image: Image.Image, wanted: InputConfig) -> Picture:
    width, height = image.size
    scale = min(wanted.width / width, wanted.height / height)
    fitted = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (wanted.width - fitted[0]) // 2, (wanted.height - fitted[1]) // 2
    if fitted != image.size:
        image = image.resize(fitted, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if fitted != (wanted.width, wanted.height):
        canvas = Image.new(image.mode, (wanted.width, wanted.height))
        canvas.paste(image, (left, top))
        image = canvas
    values = torch.from_numpy(np.array(image)).view(wanted.height, wanted.width, wanted.channels)
    pixels = values.permute(2, 0, 1).float() / 255
    return Picture(pixels, width, height, left, top, width / fitted[0], height / fitted[1])
