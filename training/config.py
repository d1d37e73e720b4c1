"""Everything that decides how a training run comes out, as frozen dataclasses.

The same classes are the command line (`stn train PRESET --field value`) and `config.json` in the run folder.
"""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from stn.align_config import AlignerConfig
from stn.config import ModelConfig, require, require_ranges
from stn.ranges import Range
from training.pair_config import PairConfig

FORBID_EXTRA = {"extra": "forbid", "use_attribute_docstrings": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """The labelled pictures."""

    __pydantic_config__: ClassVar = FORBID_EXTRA
    RANGES: ClassVar = {
        "validation": Range(0, 0.5, "(]"),
        "test": Range(0, 0.5, "(]"),
        "memory": Range(0, math.inf, unit="GiB"),
        "size": Range(4, 4096),
    }

    name: Literal["digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "svhn", "gtsrb", "folder", "npz"] = "digits"
    """`digits`: scikit-learn's 1,797 handwritten digits, no download; `folder`: your own pictures, one folder for each
    class; `npz`: your own arrays `images` and `labels`; the others are torchvision's sets."""
    root: str = "data"
    """For `folder` that folder, for `npz` that file; for the others the folder torchvision reads from or downloads to."""
    download: bool = True
    """Fetch the files of torchvision's sets into `root` where they are missing."""
    validation: float = 0.1
    """Share of the training images, of every class alike, that chooses the best checkpoint and is not trained on."""
    test: float = 0.2
    """Share of the pictures, of every class alike, that is kept for the test, where a set comes in one part."""
    size: tuple[int, int] | None = None
    """Height and width that pictures of several sizes are brought to (`folder`, `gtsrb`); 64x64 by default."""
    fit: Literal["pad", "crop", "stretch"] = "pad"
    """How: inside `size` on black with the sides in proportion, or filling it and cut at the edges, or out of proportion."""
    channels: Literal["auto", "grey", "colour"] = "auto"
    """Channels of the pictures of a `folder`: grey by default where no picture has colour."""
    memory: float = 4.0
    """GiB of decoded pictures that are kept in memory, on the training device; a larger set is read from `cache`."""
    cache: str | None = None
    """Folder for sets that are decoded once and read from disk; `.stn-cache` beside the pictures by default."""

    def __post_init__(self) -> None:
        require_ranges(self, self.RANGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistortionConfig:
    """How each picture is moved: afresh at every draw in training, once with a fixed seed in validation and test.

    What is asked for is done in the order of the fields: turned, scaled and placed, seen in perspective, bent, cluttered.
    """

    __pydantic_config__: ClassVar = FORBID_EXTRA
    RANGES: ClassVar = {
        "rotation": Range(0, 180, unit="degrees"),
        "scale": Range(0.05, 20),
        "corners": Range(0, 1000, unit="pixels"),
        "elastic": Range(0, 1000, unit="pixels"),
        "training_elastic": Range(0, 1000, unit="pixels"),
        "clutter": Range(0, 1000),
        "clutter_size": Range(1, 4096, unit="pixels"),
        "size": Range(4, 4096),
    }

    rotation: float = 0.0
    """Largest rotation to either side, in degrees."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor on the picture's size."""
    translation: bool = False
    """Put the picture at a random place inside `size`; in the centre otherwise."""
    corners: float = 0.0
    """Standard deviation, in pixels, of how far each corner is moved, and the picture with them in perspective."""
    elastic: float = 0.0
    """Standard deviation, in pixels, of how far each of 4x4 points is moved, and the picture bent between them."""
    training_elastic: float = 0.0
    """The same, beyond `elastic` and of training pictures alone: bent afresh each time, they are hard to learn by heart."""
    clutter: int = 0
    """Pieces of other training pictures that are laid over the picture at random places."""
    clutter_size: int = 6
    """Side of such a piece, in pixels."""
    size: tuple[int, int] | None = None
    """Height and width of the distorted image, in pixels; those of the data set by default."""

    def __post_init__(self) -> None:
        low, high = self.scale
        require(0.05 <= low <= high <= 20, "scale", "two factors in [0.05, 20], the smaller first", self.scale)
        require_ranges(self, self.RANGES)

    @property
    def moves(self) -> bool:
        """Whether any point of a picture may come to lie elsewhere."""
        bent = self.elastic or self.training_elastic
        return bool(self.rotation or self.corners or bent or self.size) or self.scale != (1.0, 1.0)

    @property
    def in_training(self) -> "DistortionConfig":
        """What is done to training pictures."""
        elastic = math.hypot(self.elastic, self.training_elastic)
        return replace(self, elastic=elastic, training_elastic=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """How the cross entropy is minimised."""

    __pydantic_config__: ClassVar = FORBID_EXTRA
    RANGES: ClassVar = {
        "learning_rate": Range(0, 10, "()"),
        "momentum": Range(0, 1, "[)"),
        "weight_decay": Range(0, 10, "[)"),
        "label_smoothing": Range(0, 1, "[)"),
        "gradient_clip": Range(0, math.inf, "(]"),
        "straighten": Range(0, math.inf, "[)"),
    }

    name: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or plain stochastic gradient descent with `momentum`."""
    learning_rate: float = 3e-3
    """The largest step size of the schedule, per batch."""
    schedule: Literal["one_cycle", "cosine", "step", "constant"] = "one_cycle"
    """`one_cycle`: up over the first 30 % of the steps, then down to nothing; `cosine`: down from the first step on;
    `step`: divided by 10 after each third of the steps."""
    momentum: float = 0.0
    """Of `sgd`; 0 is the paper's."""
    weight_decay: float = 1e-2
    """Decoupled for `adamw`; part of the gradient for `sgd`."""
    label_smoothing: float = 0.1
    """Share of each label that is spread over all classes; it keeps small data sets from being learnt by heart."""
    gradient_clip: float | None = None
    """Largest norm of the gradient of all weights together; a longer one is shortened to it."""
    straighten: float = 0.0
    """Weight of a second loss: how far the transformer is from undoing the distortion that each training image was made
    with. Without it the transformer does only what the class layers cannot do without."""

    def __post_init__(self) -> None:
        require_ranges(self, self.RANGES)
        require(self.name == "sgd" or not self.momentum, "momentum", "0 for adamw, which has its own", self.momentum)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """The loop."""

    __pydantic_config__: ClassVar = FORBID_EXTRA
    RANGES: ClassVar = {
        "max_epochs": Range(1, 1_000_000),
        "max_steps": Range(1, 10**9),
        "batch_size": Range(1, 1_000_000),
        "validate_every": Range(2, 10**9),
        "checkpoint_every": Range(1, 10**9),
        "patience": Range(1, 10**9),
        "devices": Range(1, 4096),
        "nodes": Range(1, 4096),
        "steps_at_once": Range(1, 10**9),
    }

    max_epochs: int = 40
    """Passes over the training images."""
    max_steps: int | None = None
    """Steps after which training ends, instead of `max_epochs`."""
    batch_size: int = 128
    """Images per step, over all devices together."""
    validate_every: int | None = None
    """Steps between validations, each of which may find the best weights so far; once an epoch by default."""
    checkpoint_every: int | None = None
    """Steps between checkpoints to go on from; by default at every validation, and every 60 seconds."""
    patience: int | None = None
    """Validations without a lower loss after which training ends early."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; `auto` takes a GPU when there is one."""
    devices: int = 1
    """GPUs, or processes on the CPU, of each machine; they share each batch."""
    nodes: int = 1
    """Machines; each runs the same command under torchrun or SLURM, or a job in a Ray cluster takes so many."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of matrix products and convolutions; weights, theta and grid stay float32."""
    steps_at_once: int | None = None
    """Steps whose pictures are fetched and distorted together; by default 1, and on a GPU alone as many as pay."""
    cuda_graph: bool = True
    """On a GPU alone, record a step once and replay it, instead of starting its hundred kernels one by one."""
    compile: bool = False
    """Compile the network with `torch.compile`: a minute of preparation for faster steps."""

    def __post_init__(self) -> None:
        require_ranges(self, self.RANGES)
        whole = self.batch_size % (self.devices * self.nodes) == 0
        require(whole, "batch_size", f"a multiple of {self.devices} devices x {self.nodes} nodes", self.batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One training run."""

    __pydantic_config__: ClassVar = FORBID_EXTRA
    RANGES: ClassVar = {"seed": Range(0, 2**32 - 1)}

    name: str
    """Name under which the trained model is served."""
    seed: int = 0
    """Decides the weights at the start, the split, the order of the images and every distortion in training."""
    task: Literal["classify", "align"] = "classify"
    """`classify`: name what pictures show, as `model` and `distortion` say; `align`: lay one picture on another, as
    `aligner` and `pairs` say, for which no labels are needed."""
    data: DataConfig = field(default_factory=DataConfig)
    distortion: DistortionConfig = field(default_factory=DistortionConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        require(
            0 < len(self.name) <= 64 and self.name.isascii() and self.name.replace("-", "").replace("_", "").isalnum(),
            "name",
            "1 to 64 letters, digits, - and _",
            self.name,
        )
        require_ranges(self, self.RANGES)
        if self.task == "align":
            still = self.distortion == DistortionConfig()
            require(still, "distortion", "left out for task align, whose movements are `pairs`", self.distortion)
            full = self.trainer.precision == "float32" and not self.trainer.compile
            rule = "float32, and trainer.compile false, for task align"
            require(full, "trainer.precision", rule, self.trainer.precision)
        if self.optimizer.straighten:
            can = self.model.transform != "none" and self.distortion.moves
            rule = "0 for a model without a transformer, and where no distortion moves the pictures"
            require(can, "optimizer.straighten", rule, self.optimizer.straighten)
