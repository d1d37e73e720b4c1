"""Class names on pictures, in the font that comes with matplotlib: Latin, Greek, Cyrillic and more."""

import string
import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont


@lru_cache
def font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font in this size, for Pillow; Pillow's own, for English, where there is no matplotlib."""
    file = _file()
    return ImageFont.load_default(pixels) if file is None else ImageFont.truetype(file, pixels)


def class_label(name: str, index: int, characters: int = 18) -> str:
    """The class's name, cut where it is long; its number where the font cannot draw it as it is read."""
    right_to_left = any(unicodedata.bidirectional(character) in ("R", "AL") for character in name)
    if right_to_left or not name.strip() or not all(ord(character) in _known() for character in name):
        return f"class {index}"
    end = "…" if ord("…") in _known() else "..."
    return name if len(name) <= characters else name[: characters - len(end)] + end


@lru_cache
def _file() -> Path | None:
    """The font; None where there is no matplotlib, which is imported for it, and not before."""
    try:
        import matplotlib
    except ImportError:
        return None
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@lru_cache
def _known() -> frozenset[int]:
    """The characters of the font."""
    file = _file()
    if file is None:
        return frozenset(map(ord, string.printable))
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(file)).get_charmap())
