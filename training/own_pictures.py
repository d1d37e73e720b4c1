"""What training takes for a picture of your own: by its name, and by its bytes.

Without torch: a service that is given pictures to train on asks the same before it keeps them.
"""

import re

from PIL import Image

from training.decoding import FORMATS, UnreadablePicture, convert, decode

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff")
"""Of the files that are taken for pictures, in capitals too."""

ALONE = "pictures"
"""The class of pictures that lie in no class folder."""

OWN_FORMATS = (*FORMATS, "TIFF")
"""Pillow's names of the decoders that are tried."""

MAX_PIXELS = 89_478_485
"""Pillow's bound, beyond which it takes a picture for an attack."""

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's names of pictures that are stored without colours."""


def read_picture(data: bytes, formats: tuple[str, ...], channels: int | None = None) -> Image.Image:
    """The picture, grey for 1 channel and RGB for 3, or in its own mode.

    Raises:
        UnreadablePicture: it cannot be trained on.
    """
    if not data:
        raise UnreadablePicture("damage", "the file is empty")
    image = decode(data, formats, MAX_PIXELS)
    if image.mode == "F":
        raise UnreadablePicture("format", "the image must have pixels of 1, 8 or 16 bits, these are floating-point")
    return image if channels is None else convert(image, channels)


def natural(name: str) -> tuple[list[str | int], str]:
    """What to sort names by, so that "2" comes before "10"."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
