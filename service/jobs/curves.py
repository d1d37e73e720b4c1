"""The curves of a training: what is drawn, as an SVG and as a PNG, without matplotlib, which servers do not import."""

import io
import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 320, 240
"""Of one panel, in pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 20.0, 34.0, 34.0
_TRAIN, _VALIDATION, _SOFT, _INK, _GRID = "#9a9fa8", "#e8501f", "#5d626b", "#222222", "#e6e6e6"
_MOST_POINTS = 1000
_LARGEST = 1e100
"""What is larger is left out, and drawn by nobody."""
_FINER = 3
"""Times as many pixels in which a PNG is drawn before it is brought to its size, which smooths it."""

Points = Sequence[tuple[float, float]]
Metrics = Sequence[dict[str, float]]


class Line(NamedTuple):
    """A line through points, in pixels."""

    points: Points
    colour: str
    width: float


class Text(NamedTuple):
    """A text at the end of which, in its middle or at its beginning the point lies, on its baseline."""

    x: float
    y: float
    text: str
    size: int
    anchor: Literal["start", "middle", "end"]
    colour: str


class Curve(NamedTuple):
    """One quantity over the steps."""

    name: str
    label: str
    colour: str


Panels = dict[str, tuple[Curve, ...]]

_LOSS = Curve("train/loss", "training", _TRAIN), Curve("val/loss", "validation", _VALIDATION)
_RATE = (Curve("learning_rate", "", _SOFT),)
PANELS: Panels = {
    "loss": _LOSS,
    "accuracy": (Curve("train/accuracy", "training", _TRAIN), Curve("val/accuracy", "validation", _VALIDATION)),
    "learning rate": _RATE,
}
ALIGN_PANELS: Panels = {
    "loss": _LOSS,
    "distance in pixels": (
        Curve("val/distance", "mean", _VALIDATION),
        Curve("val/distance_p95", "95 % of pairs", _SOFT),
    ),
    "learning rate": _RATE,
}


def panels_of(metrics: Metrics) -> Panels:
    """Those of an aligner, where the metrics are its."""
    return ALIGN_PANELS if any("val/distance" in line for line in metrics) else PANELS


def svg(metrics: Metrics) -> bytes:
    """The curves as an SVG, which is larger or smaller as it is shown."""
    width = WIDTH * len(PANELS)
    marks = "\n".join(map(_svg_mark, _marks(metrics)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
        f'font-family="sans-serif">\n<rect width="{width}" height="{HEIGHT}" fill="white"/>\n{marks}\n</svg>\n'
    ).encode()


def png(metrics: Metrics) -> bytes:
    """The curves as a PNG, twice as large, for screens of many pixels."""
    width, scale = WIDTH * len(PANELS), 2 * _FINER
    image = Image.new("RGB", (width * scale, HEIGHT * scale), "white")
    draw = ImageDraw.Draw(image)
    for mark in _marks(metrics):
        if isinstance(mark, Line):
            points = [(x * scale, y * scale) for x, y in mark.points]
            draw.line(points, fill=mark.colour, width=round(mark.width * scale), joint="curve")
        else:
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
            font = ImageFont.load_default(mark.size * scale)
            draw.text((mark.x * scale, mark.y * scale), mark.text, fill=mark.colour, font=font, anchor=anchor)
    file = io.BytesIO()
    image.resize((width * 2, HEIGHT * 2), Image.Resampling.BOX).save(file, "PNG")
    return file.getvalue()


def _svg_mark(mark: Line | Text) -> str:
    if isinstance(mark, Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
        return f'<polyline points="{points}" fill="none" stroke="{mark.colour}" stroke-width="{mark.width}"/>'
    place = f'x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size}" text-anchor="{mark.anchor}"'
    return f'<text {place} fill="{mark.colour}">{escape(mark.text)}</text>'


def _marks(metrics: Metrics) -> Iterator[Line | Text]:
    for place, (title, curves) in enumerate(panels_of(metrics).items()):
        found = {curve: _points(metrics, curve.name) for curve in curves}
        yield from _panel(float(place * WIDTH), title, {curve: points for curve, points in found.items() if points})


def _points(metrics: Metrics, name: str) -> Points:
    points = [(line["step"], line[name]) for line in metrics if abs(line.get(name, math.inf)) < _LARGEST]
    stride = math.ceil(len(points) / _MOST_POINTS)
    return [*points[:: stride or 1], *points[-1:]] if points else []


def _panel(left: float, title: str, curves: dict[Curve, Points]) -> Iterator[Line | Text]:
    x0, x1, y0, y1 = left + _LEFT, left + WIDTH - _RIGHT, HEIGHT - _BOTTOM, _TOP
    yield Text(x0, 18.0, title, 12, "start", _INK)
    if not curves:
        yield Text((x0 + x1) / 2, HEIGHT / 2, "nothing measured yet", 11, "middle", _SOFT)
        return
    steps = [step for points in curves.values() for step, _ in points]
    values = [value for points in curves.values() for _, value in points]
    across, up = _ticks(min(steps), max(steps)), _ticks(min(values), max(values))
    for tick in up:
        y = _between(tick, up, y0, y1)
        yield Line([(x0, y), (x1, y)], _GRID, 0.8)
        yield Text(x0 - 6, y + 3, f"{tick:g}", 9, "end", _SOFT)
    for tick in across:
        yield Text(_between(tick, across, x0, x1), y0 + 14, f"{tick:g}", 9, "middle", _SOFT)
    yield Line([(x0, y0), (x1, y0)], _SOFT, 0.8)
    yield Text((x0 + x1) / 2, HEIGHT - 6.0, "step", 9, "middle", _SOFT)
    for place, (curve, points) in enumerate(curves.items()):
        line = [(_between(step, across, x0, x1), _between(value, up, y0, y1)) for step, value in points]
        yield Line(line if len(set(line)) > 1 else _dot(line[0]), curve.colour, 1.6)
        yield Text(x1 - 80 * (len(curves) - 1 - place), 18.0, curve.label, 9, "end", curve.colour)


def _dot(point: tuple[float, float]) -> Points:
    """A short line, where there is one point alone."""
    x, y = point
    return [(x - 2, y), (x + 2, y)]


def _between(value: float, ticks: Sequence[float], low: float, high: float) -> float:
    """The pixel at which a value lies, where the first tick lies at `low` and the last at `high`."""
    return low + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (high - low)


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About so many round numbers, which lie around both."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * count >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]
