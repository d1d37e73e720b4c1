"""Pictures of what a spatial transformer does."""

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stn import Classifier, outline, to_pixels
from stn.types import Images

_TILE, _GAP, _TEXT, _LABEL = 112, 6, 18, 245
_INK, _FAINT, _LINE, _PAPER = (40, 40, 40), (110, 110, 110), (255, 120, 40), (255, 255, 255)


@torch.no_grad()
def sample_sheet(model: Classifier, images: Images, class_names: tuple[str, ...]) -> Image.Image:
    """One column per image: the input with the sampled region, the transformed image below it, and the class."""
    logits, transformed = model(images)
    probabilities, labels = logits.softmax(-1).max(-1)
    rows = 2 if transformed else 1
    sheet = Image.new("RGB", (len(images) * (_TILE + _GAP) + _GAP, rows * (_TILE + _GAP) + _GAP + _TEXT), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, image in enumerate(images):
        left = _GAP + column * (_TILE + _GAP)
        tile = _tile(image)
        if transformed and model.transformer:
            corners = outline(model.transformer.transform, transformed.theta)[column]
            points = to_pixels(corners, (_TILE, _TILE)).tolist()
            ImageDraw.Draw(tile).polygon([tuple(point) for point in points], outline=_LINE, width=2)
            sheet.paste(_tile(transformed.images[column]), (left, 2 * _GAP + _TILE))
        sheet.paste(tile, (left, _GAP))
        text = f"{class_names[int(labels[column])]}  {float(probabilities[column]):.0%}"
        draw.text((left + _TILE / 2, sheet.height - _TEXT), text, _INK, font, anchor="ma")
    return sheet


def distortion_sheet(rows: dict[str, Images], described: dict[str, list[str]]) -> Image.Image:
    """One row per distortion, the same pictures in every row; on the left its name and, in lines, what it does."""
    columns = max(len(images) for images in rows.values())
    size = (_LABEL + columns * (_TILE + _GAP) + _GAP, len(rows) * (_TILE + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw, title, font = ImageDraw.Draw(sheet), ImageFont.load_default(18), ImageFont.load_default(13)
    for row, (name, images) in enumerate(rows.items()):
        top = _GAP + row * (_TILE + _GAP)
        draw.text((2 * _GAP, top + 8), name, _INK, title)
        draw.multiline_text((2 * _GAP, top + 36), "\n".join(described[name]), _FAINT, font, spacing=5)
        for column, image in enumerate(images):
            sheet.paste(_tile(image), (_LABEL + _GAP + column * (_TILE + _GAP), top))
    return sheet


def _tile(image: Tensor) -> Image.Image:
    return to_pil(image).resize((_TILE, _TILE), Image.Resampling.NEAREST).convert("RGB")


def to_pil(image: Tensor) -> Image.Image:
    """One image (C, H, W) in [0, 1] as a grey or RGB picture."""
    values = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values[0].numpy() if len(values) == 1 else values.permute(1, 2, 0).numpy())
