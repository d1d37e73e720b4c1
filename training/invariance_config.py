"""What is asked of a measurement of invariance beyond the data."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from stn.config import require, require_ranges
from stn.ranges import Range
from training.config import FORBID_EXTRA

MovementName = Literal["rotation", "scale", "shift_x", "shift_y", "shear", "perspective"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvarianceConfig:
    """How a network is tried."""

    __pydantic_config__: ClassVar = FORBID_EXTRA
    RANGES: ClassVar = {
        "images": Range(1, 10**7),
        "seed": Range(0, 2**32 - 1),
        "noise": Range(0, 10),
        "clutter": Range(0, 1000),
        "clutter_size": Range(1, 4096, unit="pixels"),
    }

    movements: tuple[MovementName, ...] = get_args(MovementName)
    """Which movements of the whole picture, each by itself."""
    part: Literal["test", "train", "validation", "all"] = "test"
    """Which of the pictures; all of them for pictures that the model has never seen."""
    images: int = 1000
    """How many of them, chosen by the seed; all where there are fewer."""
    seed: int = 0
    """Decides which pictures, and what noise and clutter are."""
    noise: float = 0.0
    """Standard deviation of the noise on top, where brightness goes from 0 to 1; each picture keeps its own."""
    clutter: int = 0
    """Pieces of other pictures that are laid over each, in places that stay."""
    clutter_size: int = 6
    """Side of such a piece, in pixels."""

    def __post_init__(self) -> None:
        require(len(self.movements) > 0, "movements", "at least one", self.movements)
        require(len(set(self.movements)) == len(self.movements), "movements", "all different", self.movements)
        require_ranges(self, self.RANGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvarianceJob:
    """A measurement of a served model, as config.json of its run folder has it."""

    task: Literal["invariance"] = "invariance"
    name: str
    """Of the model."""
    version: int
    file: str
    """Its model file."""
    root: str
    """Folder of the data sets that are known by name, for a model whose run is not there."""
    data: dict[str, Any] = field(default_factory=dict)
    """What to change of the model's own data; with `name` other data."""
    invariance: InvarianceConfig = InvarianceConfig()
    """How the model is tried."""
