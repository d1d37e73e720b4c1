"""Makes the pictures of docs/library.md: docs/transforms.png and docs/samplers.png.

python docs/library_pictures.py
"""

import math
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import stn
from training.pictures import to_pil

HERE = Path(__file__).parent
SIDE, GAP, TEXT, REACH = 176, 8, 20, 1.6
INK, PAPER, LINE = (40, 40, 40), (255, 255, 255), (255, 110, 30)

TRANSFORMS = {
    "translation": {"x0": 0.5, "y0": -0.25},
    "rigid": {"angle": -0.5, "x0": 0.1},
    "attention": {"scale": 0.55, "x0": 0.3, "y0": -0.2},
    "similarity": {"scale": 0.75, "angle": 0.45, "y0": 0.15},
    "affine": {"xx": 0.9, "xy": 0.45, "yx": -0.1, "yy": 0.8},
    "projective": {"xx": 1.0, "yy": 0.9, "wx": 0.15, "wy": -0.22},
    "thin_plate_spline": {"x1_1": -0.7, "y1_1": 0.1, "x2_2": 0.6, "y2_2": -0.05, "x0_3": 0.75, "y3_0": 0.7},
}


def main() -> None:
    transforms().save(HERE / "transforms.png", optimize=True)
    samplers().save(HERE / "samplers.png", optimize=True)


def transforms() -> Image.Image:
    """One column per transform: the region that theta samples, and below it what comes out."""
    picture = drawing(256)
    columns = []
    for name, values in TRANSFORMS.items():
        generator = stn.GridGenerator(name, (SIDE, SIDE))
        theta = theta_of(generator.transform, values)
        out = stn.sample(picture, generator(theta), padding="constant", background=(0.86,), antialias=2)
        columns.append((name, [region(picture, generator.transform, theta), to_pil(out[0])]))
    return sheet(columns)


def samplers() -> Image.Image:
    """Kernels on a few pixels seen from near, paddings on a picture seen from afar, and what anti-aliasing is for."""
    small, picture, fine = drawing(12), drawing(128), stripes(256)
    columns = [(name, [window(small, 0.6, kernel=name)]) for name in stn.KERNELS]
    columns += [(f"padding {name}", [window(picture, 1.8, padding=name)]) for name in ("zeros", "border", "reflection")]
    columns.append(("padding constant", [window(picture, 1.8, padding="constant", background=(0.2, 0.5, 0.8))]))
    columns += [(f"antialias {count}", [window(fine, 1.0, size=32, antialias=count)]) for count in (1, 8)]
    half = math.ceil(len(columns) / 2)
    return stack([sheet(columns[:half]), sheet(columns[half:])])


def theta_of(transform: stn.Transform, values: dict[str, float]) -> Tensor:
    theta = transform.identity()
    for name, value in values.items():
        theta[transform.parameter_names.index(name)] = value
    return theta[None]


def drawing(side: int) -> Tensor:
    """A picture on which one sees what happened to it: a grid, a colour for every corner, an R."""
    y, x = torch.meshgrid(*[torch.linspace(0, 1, side * 4)] * 2, indexing="ij")
    colours = to_pil(torch.stack([0.35 + 0.6 * x, 0.45 + 0.4 * y, 0.9 - 0.5 * x * y]))
    draw = ImageDraw.Draw(colours)
    unit = side * 4
    for line in range(1, 8):
        at = line * unit // 8
        draw.rectangle((at, 0, at + unit // 96, unit), fill=(255, 255, 255))
        draw.rectangle((0, at, unit, at + unit // 96), fill=(255, 255, 255))
    font = ImageFont.load_default(unit * 0.62)
    draw.text(
        (unit / 2, unit / 2), "R", (30, 30, 60), font, anchor="mm", stroke_width=unit // 100, stroke_fill=(30, 30, 60)
    )
    return as_tensor(colours.resize((side, side), Image.Resampling.LANCZOS))


def stripes(side: int) -> Tensor:
    """Rings that are too fine for an eighth of the pixels."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    return (0.5 + 0.5 * torch.cos(90 * (x.square() + y.square()))).expand(1, 3, -1, -1)


def as_tensor(image: Image.Image) -> Tensor:
    values = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
    return values.view(image.height, image.width, 3).permute(2, 0, 1)[None] / 255


def window(picture: Tensor, scale: float, size: int = SIDE, **settings: object) -> Image.Image:
    grid = stn.sampling_grid("attention", torch.tensor([[scale, 0.0, 0.0]]), (size, size))
    return to_pil(stn.sample(picture, grid, **settings)[0]).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def region(picture: Tensor, transform: stn.Transform, theta: Tensor) -> Image.Image:
    """The picture, small, with room around it, and the outline of what is sampled."""
    tile = window(picture, REACH, padding="constant", background=(1.0,), antialias=2)
    corners = [tuple(point) for point in stn.to_pixels(stn.outline(transform, theta)[0] / REACH, (SIDE, SIDE)).tolist()]
    ImageDraw.Draw(tile).line([*corners, corners[0]], fill=LINE, width=3, joint="curve")
    first = corners[0]  # what becomes the upper left corner
    ImageDraw.Draw(tile).ellipse((first[0] - 5, first[1] - 5, first[0] + 5, first[1] + 5), fill=LINE)
    return tile


def sheet(columns: list[tuple[str, list[Image.Image]]]) -> Image.Image:
    rows = max(len(tiles) for _, tiles in columns)
    out = Image.new("RGB", (len(columns) * (SIDE + GAP) + GAP, rows * (SIDE + GAP) + GAP + TEXT), PAPER)
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(15)
    for column, (name, tiles) in enumerate(columns):
        left = GAP + column * (SIDE + GAP)
        for row, tile in enumerate(tiles):
            out.paste(tile, (left, GAP + row * (SIDE + GAP)))
        draw.text((left + SIDE / 2, out.height - TEXT - 2), name, INK, font, anchor="ma")
    return out


def stack(sheets: list[Image.Image]) -> Image.Image:
    out = Image.new("RGB", (max(part.width for part in sheets), sum(part.height for part in sheets)), PAPER)
    top = 0
    for part in sheets:
        out.paste(part, (0, top))
        top += part.height
    return out


if __name__ == "__main__":
    main()
