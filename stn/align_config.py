"""What an aligner is made of, as a frozen dataclass that reads from and writes to JSON."""

import dataclasses
from typing import ClassVar, Literal

from stn.config import require, require_ranges
from stn.ranges import Range

TransformName = Literal["affine", "attention", "similarity", "translation", "rigid", "projective", "thin_plate_spline"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AlignerConfig:
    """The network that lays one picture on another; see `stn.Aligner`."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}
    RANGES: ClassVar = {
        "lattice": Range(2, 16),
        "rotation": Range(0, 180, unit="degrees"),
        "scale": Range(0.2, 5),
        "shift": Range(0, 0.5),
        "candidates": Range(1, 16),
        "levels": Range(8, 512),
        "steps": Range(1, 50),
        "channels": Range(4, 256),
    }

    task: Literal["align"] = "align"
    """What the network does."""
    transforms: tuple[TransformName, ...] = ("similarity", "projective")
    """What may be done to the moving picture, the simple first: each goes on from the one before it, and the last one's
    theta is the answer."""
    lattice: tuple[int, int] = (4, 4)
    """Rows and columns of control points of `thin_plate_spline`."""
    rotation: float = 45.0
    """Largest rotation to either side that the search begins with, in degrees."""
    scale: tuple[float, float] = (0.7, 1.4)
    """Smallest and largest size of the picture in the fixed image, against that in the moving one, that it begins with."""
    shift: float = 0.25
    """Largest shift that it begins with, as a share of the image's side."""
    candidates: int = 8
    """How many of the search's finds are tried on the coarsest level; the one that fits best goes on."""
    levels: tuple[int, ...] = (16, 32, 64)
    """Sides of the squares that both images are brought to, from coarse to fine. Those that are larger than an image's own
    longer side are left out for it, but for the first."""
    steps: tuple[int, ...] = (2, 2, 2)
    """Corrections of each transform on each level."""
    channels: int = 12
    """Features of a place."""

    def __post_init__(self) -> None:
        require_ranges(self, self.RANGES)
        require(1 <= len(self.transforms) <= 4, "transforms", "1 to 4 names", self.transforms)
        low, high = self.scale
        require(low <= 1 <= high, "scale", "two factors, one on each side of 1", self.scale)
        rising = list(self.levels) == sorted(set(self.levels)) and 1 <= len(self.levels) <= 6
        require(rising, "levels", "1 to 6 ascending sides", self.levels)
        require(all(side % 2 == 0 for side in self.levels), "levels", "even", self.levels)
        require(len(self.steps) == len(self.levels), "steps", "one number for each level", self.steps)
