"""How pairs of pictures are made for training an aligner, as a frozen dataclass."""

import math
from dataclasses import dataclass
from typing import ClassVar

from stn.config import require, require_ranges
from stn.ranges import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class PairConfig:
    """Two views of each picture: the moving one, and the fixed one, which shows the same turned, scaled, shifted and so on.

    Drawn afresh at every step in training, once with a fixed seed in validation and test. No labels are needed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}
    RANGES: ClassVar = {
        "view": Range(0.2, 1),
        "zoom": Range(0.05, 20),
        "rotation": Range(0, 180, unit="degrees"),
        "scale": Range(0.05, 20),
        "shift": Range(0, 0.5),
        "perspective": Range(0, 0.5),
        "elastic": Range(0, 0.2),
        "brightness": Range(0, 1),
        "contrast": Range(0.05, 20),
        "noise": Range(0, 1),
        "occlusion": Range(0, 0.8),
        "points": Range(0, math.inf, "[)"),
        "photometric": Range(0, math.inf, "[)"),
        "same_class": Range(0, 1),
    }

    view: float = 1.0
    """Share of the picture's side that a view has. Below 1 the views go on beyond each other's edges as photographs of one
    scene do; with 1 there is black beyond the picture."""
    zoom: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor on the size of what the moving view shows, and the fixed one with it."""
    rotation: float = 45.0
    """Largest rotation between the views to either side, in degrees."""
    scale: tuple[float, float] = (0.7, 1.4)
    """Smallest and largest factor on the picture's size from the moving view to the fixed one."""
    shift: float = 0.2
    """Largest shift along each axis, as a share of the side."""
    perspective: float = 0.15
    """By what share an edge is at most shorter than the opposite one."""
    elastic: float = 0.0
    """Standard deviation of how far each of 4x4 points is moved, as a share of the side, and the picture bent between."""
    brightness: float = 0.15
    """Largest difference that is added to all pixels of a view."""
    contrast: tuple[float, float] = (0.7, 1.4)
    """Smallest and largest factor on the differences from the mean of a view."""
    noise: float = 0.05
    """Largest standard deviation of the noise on a view's pixels, which are in [0, 1]."""
    occlusion: float = 0.3
    """Largest side of a grey rectangle on half of the fixed views, as a share of the image's side."""
    points: float = 1.0
    """Weight in the loss of the distance between where theta and the truth send points, in pixels of a view of 64."""
    photometric: float = 0.0
    """Weight in the loss of 1 less the local normalised cross-correlation of the views once they lie on each other."""
    same_class: float = 0.0
    """Share of the steps whose fixed views show another picture of the class each: real pairs, without a true transform, for
    which the photometric loss alone counts."""

    def __post_init__(self) -> None:
        require_ranges(self, self.RANGES)
        for name in ("zoom", "scale", "contrast"):
            low, high = getattr(self, name)
            require(low <= high, name, "two factors, the smaller first", (low, high))
        require(self.points + self.photometric > 0, "points", "above 0 where photometric is 0", self.points)
        real = not self.same_class or self.photometric > 0
        require(real, "same_class", "0 where photometric is 0", self.same_class)
