"""The contact sheet of a data set: a row of pictures for each class, with its name and how many there are."""

from PIL import Image, ImageDraw

from training.lettering import class_label, font

_TILE, _GAP, _LABEL = 64, 4, 190
_INK, _FAINT, _PAPER, _BEHIND = (40, 40, 40), (110, 110, 110), (255, 255, 255), (128, 128, 128)


def tile_of(picture: Image.Image) -> Image.Image:
    """The picture in the middle of a square, its sides in proportion."""
    scale = _TILE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    # Enlarged, pixels stay pixels; shrunk, each counts.
    resample = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    square = Image.new("RGB", (_TILE, _TILE), _BEHIND)
    resized = picture.resize((width, height), resample).convert("RGB")
    square.paste(resized, ((_TILE - width) // 2, (_TILE - height) // 2))
    return square


def contact_sheet(tiles: dict[str, list[Image.Image]], counts: dict[str, int]) -> Image.Image:
    """A row for each class that has tiles, and a line that says how many have none.

    Args:
        tiles: by class.
        counts: pictures of every class.
    """
    columns = max(map(len, tiles.values()))
    more = len(counts) - len(tiles)
    step = _TILE + _GAP
    sheet = Image.new("RGB", (_LABEL + columns * step, _GAP + len(tiles) * step + 24 * bool(more)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    numbers = {name: index for index, name in enumerate(counts)}
    for row, (name, pictures) in enumerate(tiles.items()):
        top = _GAP + row * step
        draw.text((2 * _GAP, top + 14), class_label(name, numbers[name]), _INK, font(15))
        draw.text((2 * _GAP, top + 36), f"{counts[name]:,} pictures", _FAINT, font(11))
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (_LABEL + column * step, top))
    if more:
        draw.text((2 * _GAP, sheet.height - 20), f"and {more:,} more classes", _FAINT, font(12))
    return sheet
