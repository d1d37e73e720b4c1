"""From the bytes of a posted picture to what a network takes, and back to PNG."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from service.problems import Problem
from stn import InputConfig
from training.decoding import FITS, FORMATS, UnreadablePicture, convert, decode, placement, to_bytes

_STATUS = {"format": 415, "pixels": 413, "damage": 422}


@dataclass(frozen=True, slots=True)
class Picture:
    """A posted picture, brought to a network's input size."""

    pixels: UInt8[np.ndarray, "c h w"]
    width: int
    """Of the picture as a viewer shows it, in pixels."""
    height: int
    left: float
    """Where the picture's left edge lies in `pixels`, in pixels of the network's input; negative where it was cut."""
    top: float
    scale_x: float
    """Pixels of the picture per pixel of the network's input."""
    scale_y: float

    def from_input(self, points: Float[np.ndarray, "... n 2"]) -> Float[np.ndarray, "... n 2"]:
        """Normalised points of the network's input in pixels of the picture, 0 being its left (upper) edge."""
        _, height, width = self.pixels.shape
        half = np.array([width / 2, height / 2])
        inside = (points + 1) * half - (self.left, self.top)
        return inside * (self.scale_x, self.scale_y)


def read_picture(data: bytes, wanted: InputConfig, max_pixels: int) -> Picture:
    """Decode, turn as EXIF says, flatten on black, convert to the network's colours and fit into its input.

    Of an animation the first frame is taken. A picture of exactly the input's size is not resampled.

    Raises:
        Problem: 400 for no bytes, 413 for too many pixels, 415 for another format, 422 for a damaged picture.
    """
    if not data:
        raise Problem(400, "the image is empty: send the bytes of a picture")
    try:
        image = decode(data, FORMATS, max_pixels)
    except UnreadablePicture as error:
        raise Problem(_STATUS[error.kind], str(error)) from None
    return _fit(convert(image, wanted.channels), wanted)


def png(pixels: UInt8[np.ndarray, "c h w"]) -> bytes:
    """Pixels as a grey or RGB PNG of 8 bits."""
    file = io.BytesIO()
    array = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    Image.fromarray(array).save(file, "PNG", compress_level=1)
    return file.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG as text that a browser shows."""
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _fit(image: Image.Image, wanted: InputConfig) -> Picture:
    width, height = image.size
    place = placement((height, width), wanted.size, wanted.fit)
    pixels = to_bytes(FITS[wanted.fit](image, wanted.size))
    return Picture(pixels, width, height, place.left, place.top, width / place.width, height / place.height)
