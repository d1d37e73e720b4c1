"""Pictures of what a spatial transformer does."""

import textwrap

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from stn import Classifier, Transformed, outline, to_pixels
from stn.types import Images
from training.lettering import class_label, font

_TILE, _GAP, _TEXT, _LABEL = 112, 6, 18, 245
_INK, _FAINT, _LINE, _PAPER = (40, 40, 40), (110, 110, 110), (255, 120, 40), (255, 255, 255)


@torch.no_grad()
def sample_sheet(model: Classifier, images: Images, class_names: tuple[str, ...]) -> Image.Image:
    """One column per image: the input with the sampled region, the transformed image below it, and the class."""
    logits, transformed = model(images)
    probabilities, labels = logits.softmax(-1).max(-1)
    pairs = tiles(model, images, transformed)
    rows = len(pairs[0])
    sheet = Image.new("RGB", (len(images) * (_TILE + _GAP) + _GAP, rows * (_TILE + _GAP) + _GAP + _TEXT), _PAPER)
    draw, small = ImageDraw.Draw(sheet), font(12)
    for column, pair in enumerate(pairs):
        left = _GAP + column * (_TILE + _GAP)
        for row, tile in enumerate(pair):
            sheet.paste(tile, (left, _GAP + row * (_TILE + _GAP)))
        best = int(labels[column])
        text = f"{class_label(class_names[best], best, 10)}  {float(probabilities[column]):.0%}"
        draw.text((left + _TILE / 2, sheet.height - _TEXT), text, _INK, small, anchor="ma")
    return sheet


@torch.no_grad()
def tiles(model: Classifier, images: Images, transformed: Transformed | None) -> list[list[Image.Image]]:
    """For each image a square of the input with the sampled region, and one of the transformed image.

    The input alone where the model has no transformer.
    """
    if transformed is None or model.transformer is None:
        return [[_tile(image)] for image in images]
    corners = outline(model.transformer.transform, transformed.theta)
    return [
        [_tile(image, border), _tile(straight)]
        for image, border, straight in zip(images, corners, transformed.images, strict=True)
    ]


def caption_sheet(
    pairs: list[list[Image.Image]], headings: list[str], captions: list[list[str]], columns: int = 4
) -> Image.Image:
    """The tiles of each image side by side, with a heading and the lines of its caption below."""
    heading, small = font(12), font(10)
    wide = max(map(len, pairs)) * (_TILE + _GAP)
    lines = max(map(len, captions))
    high = _TILE + 2 * _GAP + _TEXT + 15 * lines
    columns = min(columns, len(pairs))
    rows = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (columns * (wide + 2 * _GAP) + _GAP, rows * (high + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (pair, title, caption) in enumerate(zip(pairs, headings, captions, strict=True)):
        left = _GAP + place % columns * (wide + 2 * _GAP)
        top = _GAP + place // columns * (high + _GAP)
        for index, tile in enumerate(pair):
            sheet.paste(tile, (left + index * (_TILE + _GAP), top))
        top += _TILE + 4
        draw.text((left, top), title, _INK, heading)
        for index, line in enumerate(caption):
            draw.text((left, top + _TEXT + 15 * index), line, _FAINT, small)
    return sheet


def distortion_sheet(rows: dict[str, Images], described: dict[str, list[str]]) -> Image.Image:
    """One row per distortion, the same pictures in every row; on the left its name and, in lines, what it does."""
    columns = max(len(images) for images in rows.values())
    texts = {name: [part for line in described[name] for part in textwrap.wrap(line, 34)] for name in rows}
    heights = [max(_TILE, 36 + 17 * len(texts[name])) + _GAP for name in rows]
    sheet = Image.new("RGB", (_LABEL + columns * (_TILE + _GAP) + _GAP, sum(heights) + _GAP), _PAPER)
    draw, title, small = ImageDraw.Draw(sheet), font(16), font(11)
    for row, (name, images) in enumerate(rows.items()):
        top = _GAP + sum(heights[:row])
        draw.text((2 * _GAP, top + 8), name, _INK, title)
        draw.multiline_text((2 * _GAP, top + 36), "\n".join(texts[name]), _FAINT, small, spacing=4)
        for column, image in enumerate(images):
            sheet.paste(_tile(image), (_LABEL + _GAP + column * (_TILE + _GAP), top))
    return sheet


def picture_tile(image: Tensor) -> Image.Image:
    """An image (C, H, W) in the middle of a square of the sheets."""
    return _tile(image)


def to_pil(image: Tensor) -> Image.Image:
    """One image (C, H, W) in [0, 1] as a grey or RGB picture; of other channels than 1 and 3 the mean, in grey."""
    if len(image) not in (1, 3):
        image = image.mean(0, keepdim=True)
    values = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values[0].numpy() if len(values) == 1 else values.permute(1, 2, 0).numpy())


def _tile(image: Tensor, border: Tensor | None = None) -> Image.Image:
    """The image in the middle of a square, its sides in proportion, with this outline (N, 2) in normalised points."""
    picture = to_pil(image)
    scale = _TILE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    # Enlarged, pixels stay pixels; shrunk, each counts.
    resample = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    picture = picture.resize((width, height), resample).convert("RGB")
    if border is not None:
        points = [tuple(point) for point in to_pixels(border.cpu().clamp(-50, 50), (height, width)).tolist()]
        ImageDraw.Draw(picture).polygon(points, outline=_LINE, width=2)
    if (width, height) == (_TILE, _TILE):
        return picture
    square = Image.new("RGB", (_TILE, _TILE), (128, 128, 128))
    square.paste(picture, ((_TILE - width) // 2, (_TILE - height) // 2))
    return square
