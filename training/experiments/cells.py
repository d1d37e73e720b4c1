"""The cells of Table 1 of Jaderberg et al. 2015: which network on which distortion, and how it is trained."""

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from stn.config import ModelConfig
from training.config import DataConfig, OptimizerConfig, TrainerConfig, TrainingConfig
from training.recipes import DISTORTIONS

Recipe = Literal["paper", "modern", "straight", "bent"]

Model = Literal[
    "fcn",
    "cnn",
    "st-fcn-affine",
    "st-fcn-projective",
    "st-fcn-thin_plate_spline",
    "st-cnn-affine",
    "st-cnn-projective",
    "st-cnn-thin_plate_spline",
]
Column = Literal["R", "RTS", "P", "E", "TC"]

MODELS: tuple[Model, ...] = get_args(Model)
COLUMNS: tuple[Column, ...] = get_args(Column)

PAPER: dict[str, dict[str, float]] = {
    "fcn": {"R": 2.1, "RTS": 5.2, "P": 3.1, "E": 3.2, "TC": 13.2},
    "cnn": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 1.4, "TC": 3.5},
    "st-fcn-affine": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 2.7, "TC": 2.0},
    "st-fcn-projective": {"R": 1.3, "RTS": 0.9, "P": 1.4, "E": 2.6},
    "st-fcn-thin_plate_spline": {"R": 1.1, "RTS": 0.8, "P": 1.4, "E": 2.4},
    "st-cnn-affine": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.2, "TC": 1.7},
    "st-cnn-projective": {"R": 0.8, "RTS": 0.6, "P": 0.8, "E": 1.3},
    "st-cnn-thin_plate_spline": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.1},
}
"""Test error in percent. Source: Jaderberg et al. 2015, Table 1; TC from its text, whose transform is affine."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run of the table."""

    model: str
    distortion: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.model}-{self.distortion}-{self.seed}"


def config_of(cell: Cell, recipe: Recipe, steps: int, root: str) -> TrainingConfig:
    """The whole config of a cell.

    `paper`: SGD at 0.01, divided by 10 after each third of the steps, no batch norm, nothing else. `modern`: batch norm,
    AdamW, one cycle up to 0.01, label smoothing of 0.05. `straight`: that, and the transformer is also asked to undo the
    distortion (`optimizer.straighten`). `bent`: that, and training pictures are also bent a little, 4x4 points of them by a
    42nd of their side (`distortion.training_elastic`), which the others are not. All: batches of 256, about 400 thousand
    parameters, and for RTS and TC, whose images are larger, 2x2 average pooling behind the transformer. 1,000 of the 60,000
    training pictures choose the best weights; the test pictures choose nothing.
    """
    network, _, transform = cell.model.removeprefix("st-").partition("-")
    modern = recipe != "paper"
    model = ModelConfig(
        classifier=network,  # type: ignore[arg-type]
        transform=transform or "none",  # type: ignore[arg-type]
        pool=2 if cell.distortion in ("RTS", "TC") else 1,
        batch_norm=modern,
    )
    straighten = 2.0 if recipe in ("straight", "bent") and transform else 0.0
    distortion = DISTORTIONS[cell.distortion]
    if recipe == "bent":
        distortion = dataclasses.replace(distortion, training_elastic=round((distortion.size or (28, 28))[0] / 42, 2))
    paper = OptimizerConfig(
        name="sgd", learning_rate=0.01, schedule="step", weight_decay=0.0, label_smoothing=0.0, momentum=0.0
    )
    return TrainingConfig(
        name=f"table1-{cell.name}".replace(".", "-"),
        seed=cell.seed,
        data=DataConfig(name="mnist", root=root, validation=1 / 60),
        distortion=distortion,
        model=model,
        optimizer=OptimizerConfig(learning_rate=1e-2, label_smoothing=0.05, straighten=straighten) if modern else paper,
        trainer=TrainerConfig(
            max_steps=steps, batch_size=256, validate_every=max(2, min(1000, steps // 10), steps // 20)
        ),
    )


def with_steps(config: TrainingConfig, steps: int) -> TrainingConfig:
    return dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, max_steps=steps))
