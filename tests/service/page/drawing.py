"""Digits as lines that a mouse draws on the pad, as parts of its side."""

import math
from collections.abc import Sequence

from playwright.sync_api import Page

Line = Sequence[tuple[float, float]]

DIGITS: dict[str, list[Line]] = {
    "0": [[(0.5, 0.2), (0.36, 0.35), (0.36, 0.65), (0.5, 0.8), (0.64, 0.65), (0.64, 0.35), (0.5, 0.2)]],
    "1": [[(0.5, 0.2), (0.5, 0.8)]],
    "2": [[(0.35, 0.34), (0.42, 0.23), (0.56, 0.22), (0.64, 0.32), (0.6, 0.46), (0.35, 0.78), (0.67, 0.78)]],
    "3": [
        [(0.36, 0.26), (0.52, 0.21), (0.63, 0.31), (0.58, 0.43), (0.47, 0.48)],
        [(0.47, 0.48), (0.62, 0.55), (0.66, 0.67), (0.55, 0.78), (0.35, 0.74)],
    ],
    "4": [[(0.52, 0.22), (0.34, 0.58), (0.68, 0.58)], [(0.58, 0.38), (0.56, 0.8)]],
    "5": [
        [(0.64, 0.22), (0.42, 0.22), (0.39, 0.47), (0.54, 0.44), (0.66, 0.56), (0.62, 0.72), (0.48, 0.79), (0.36, 0.73)]
    ],
    "6": [
        [(0.61, 0.22), (0.43, 0.38), (0.36, 0.6), (0.42, 0.75), (0.56, 0.77), (0.63, 0.64), (0.55, 0.53), (0.4, 0.57)]
    ],
    "7": [[(0.34, 0.23), (0.67, 0.23), (0.46, 0.8)]],
}


def placed(digit: str, *, degrees: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)) -> list[Line]:
    """The lines of a digit, turned clockwise around the middle of the pad, then moved."""
    cos, sin = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return [
        [
            (
                0.5 + cos * (x - 0.5) - sin * (y - 0.5) + shift[0],
                0.5 + sin * (x - 0.5) + cos * (y - 0.5) + shift[1],
            )
            for x, y in line
        ]
        for line in DIGITS[digit]
    ]


def draw(page: Page, lines: Sequence[Line], steps: int = 4) -> None:
    """Draw them with the mouse, each in one stroke."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for line in lines:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=steps)
        page.mouse.up()
