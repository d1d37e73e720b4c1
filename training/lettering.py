"""Class names on pictures, in the font that comes with matplotlib: Latin, Greek, Cyrillic and more."""

import string
import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

try:
    import matplotlib
    from matplotlib.ft2font import FT2Font
except ImportError:
    _FONT = None
else:
    _FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@lru_cache
def font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font in this size, for Pillow; Pillow's own, for English, where there is no matplotlib."""
    return ImageFont.load_default(pixels) if _FONT is None else ImageFont.truetype(_FONT, pixels)


def class_label(name: str, index: int, characters: int = 18) -> str:
    """The class's name, cut where it is long; its number where the font cannot draw it as it is read."""
    right_to_left = any(unicodedata.bidirectional(character) in ("R", "AL") for character in name)
    if right_to_left or not name.strip() or not all(ord(character) in _known() for character in name):
        return f"class {index}"
    end = "…" if ord("…") in _known() else "..."
    return name if len(name) <= characters else name[: characters - len(end)] + end


@lru_cache
def _known() -> frozenset[int]:
    """The characters of the font."""
    return frozenset(map(ord, string.printable) if _FONT is None else FT2Font(str(_FONT)).get_charmap())
