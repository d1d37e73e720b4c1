"""Everything that decides how a training run comes out, as frozen dataclasses.

The same classes are the command line (`stn train PRESET --field value`) and `config.json` in the run folder.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from stn.config import ModelConfig, require

FORBID_EXTRA = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """The labelled pictures."""

    __pydantic_config__: ClassVar = FORBID_EXTRA

    name: Literal["digits", "mnist"] = "digits"
    """`digits`: scikit-learn's 1,797 handwritten digits, no download; `mnist`: 70,000 of them, read from `root`."""
    root: str = "data"
    """Folder of data sets that are read from files; `mnist` is looked for in ROOT/MNIST/raw."""
    download: bool = True
    """Fetch the files into `root` where they are missing."""
    validation: float = 0.1
    """Share of the training images, of every class alike, that chooses the best checkpoint and is not trained on."""

    def __post_init__(self) -> None:
        require(0 < self.validation <= 0.5, "validation", "in (0, 0.5]", self.validation)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistortionConfig:
    """How each picture is moved: afresh at every draw in training, once with a fixed seed in validation and test."""

    __pydantic_config__: ClassVar = FORBID_EXTRA

    rotation: float = 0.0
    """Largest rotation to either side, in degrees."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor on the picture's size."""
    translation: bool = False
    """Put the picture at a random place inside `size`; in the centre otherwise."""
    size: tuple[int, int] | None = None
    """Height and width of the distorted image, in pixels; those of the data set by default."""

    def __post_init__(self) -> None:
        require(0 <= self.rotation <= 180, "rotation", "in [0, 180] degrees", self.rotation)
        low, high = self.scale
        require(0.05 <= low <= high <= 20, "scale", "two factors in [0.05, 20], the smaller first", self.scale)
        if self.size is not None:
            require(all(4 <= side <= 4096 for side in self.size), "size", "in [4, 4096]", self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """Cross entropy, minimised by AdamW with a one-cycle learning rate."""

    __pydantic_config__: ClassVar = FORBID_EXTRA

    learning_rate: float = 3e-3
    """Peak of the one-cycle schedule, per batch."""
    weight_decay: float = 1e-2
    """Decoupled weight decay."""
    label_smoothing: float = 0.1
    """Share of each label that is spread over all classes; it keeps small data sets from being learnt by heart."""

    def __post_init__(self) -> None:
        require(0 < self.learning_rate < 10, "learning_rate", "in (0, 10)", self.learning_rate)
        require(0 <= self.weight_decay < 10, "weight_decay", "in [0, 10)", self.weight_decay)
        require(0 <= self.label_smoothing < 1, "label_smoothing", "in [0, 1)", self.label_smoothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """The loop."""

    __pydantic_config__: ClassVar = FORBID_EXTRA

    max_epochs: int = 40
    """Passes over the training images."""
    batch_size: int = 128
    """Images per step."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; `auto` takes a GPU when there is one."""

    def __post_init__(self) -> None:
        require(1 <= self.max_epochs <= 1_000_000, "max_epochs", "in [1, 1000000]", self.max_epochs)
        require(1 <= self.batch_size <= 1_000_000, "batch_size", "in [1, 1000000]", self.batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One training run."""

    __pydantic_config__: ClassVar = FORBID_EXTRA

    name: str
    """Name under which the trained model is served."""
    seed: int = 0
    """Decides the weights at the start, the split, the order of the images and every distortion in training."""
    data: DataConfig = field(default_factory=DataConfig)
    distortion: DistortionConfig = field(default_factory=DistortionConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        require(
            0 < len(self.name) <= 64 and self.name.isascii() and self.name.replace("-", "").replace("_", "").isalnum(),
            "name",
            "1 to 64 letters, digits, - and _",
            self.name,
        )
        require(0 <= self.seed < 2**32, "seed", "in [0, 2^32)", self.seed)
