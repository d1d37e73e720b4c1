"""Complete configs for known tasks; each is a function, so that one can build on another."""

from collections.abc import Callable

from stn.config import ModelConfig
from training.config import DataConfig, DistortionConfig, OptimizerConfig, TrainerConfig, TrainingConfig


def digits() -> TrainingConfig:
    """1,797 digits, rotated, scaled and placed at random in a larger image; no download, under a minute on 2 cores."""
    return TrainingConfig(
        name="digits",
        data=DataConfig(name="digits"),
        distortion=DistortionConfig(rotation=45.0, scale=(0.7, 1.2), translation=True, size=(42, 42)),
        model=ModelConfig(
            localization_filters=16,
            localization_units=32,
            localization_rate=0.3,
            size=(20, 20),
            filters=(16, 64),
            units=128,
        ),
        optimizer=OptimizerConfig(learning_rate=5e-3),
        trainer=TrainerConfig(max_epochs=70, batch_size=64),
    )


def mnist() -> TrainingConfig:
    """MNIST as it is; some minutes on 2 cores."""
    return TrainingConfig(
        name="mnist",
        data=DataConfig(name="mnist"),
        model=ModelConfig(localization_filters=16, localization_units=32, filters=(16, 32), units=128),
        trainer=TrainerConfig(max_epochs=8, batch_size=128),
    )


def handwriting() -> TrainingConfig:
    """MNIST turned, slanted, bent, large or small, anywhere in a larger image: the model that comes with the package."""
    return TrainingConfig(
        name="handwriting",
        data=DataConfig(name="mnist", validation=1 / 60),
        distortion=DistortionConfig(
            rotation=45.0, scale=(0.65, 1.6), translation=True, corners=1.0, elastic=0.5, size=(42, 42)
        ),
        model=ModelConfig(
            localization_filters=20, localization_units=48, size=(24, 24), filters=(24, 48, 96), units=128
        ),
        optimizer=OptimizerConfig(learning_rate=3e-3, label_smoothing=0.05, straighten=2.0),
        trainer=TrainerConfig(max_steps=6000, batch_size=256, validate_every=500),
    )


def pictures() -> TrainingConfig:
    """Your own pictures: whole, not distorted unless you say how (`distortion`), in a network for 64x64 and the like."""
    return TrainingConfig(
        name="pictures",
        data=DataConfig(name="folder"),
        model=ModelConfig(localization_units=32, localization_pooled=(8, 8), filters=(16, 32, 64), units=128),
        trainer=TrainerConfig(max_epochs=30, batch_size=64),
    )


def align() -> TrainingConfig:
    """Lay one picture on another: turned, scaled, shifted, seen in perspective. From any pictures, without labels."""
    return TrainingConfig(
        name="align",
        task="align",
        data=DataConfig(name="fashion-mnist", validation=1 / 60),
        optimizer=OptimizerConfig(learning_rate=6e-3, weight_decay=1e-4, gradient_clip=1.0),
        trainer=TrainerConfig(max_steps=1000, batch_size=24, validate_every=200),
    )


PRESETS: dict[str, Callable[[], TrainingConfig]] = {
    "digits": digits,
    "mnist": mnist,
    "handwriting": handwriting,
    "pictures": pictures,
    "align": align,
}
