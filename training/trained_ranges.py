"""How far the pictures that a network learnt from were moved."""

import json

from stn.config import from_dict
from training.config import DistortionConfig, TrainingConfig
from training.trained import Trained

Ranges = dict[str, tuple[float, float]]
"""By the name of the movement, in its unit; what is not known, or has no bounds, is missing."""


def trained_config(trained: Trained) -> TrainingConfig | None:
    """The config of the network's training, where its run or its file tells it."""
    if trained.config is not None:
        return trained.config
    try:
        return from_dict(TrainingConfig, json.loads(trained.info.provenance["config"]))
    except (KeyError, ValueError, RecursionError):
        return None


def trained_ranges(distortion: DistortionConfig, source: tuple[int, int]) -> Ranges:
    """What was drawn evenly between two bounds, and of which nothing was drawn.

    Shifts are those of a picture that is not scaled. Corners and points moved by chance have no bounds, so where there were
    any, shear and perspective are missing.

    Args:
        distortion: of the training pictures.
        source: their (height, width) before it.

    >>> trained_ranges(DistortionConfig(rotation=45.0, translation=True, size=(42, 56)), (28, 28))["shift_x"]
    (-25.0, 25.0)
    """
    height, width = distortion.size or source
    shift_x, shift_y = (
        max(0.0, 50 * (1 - inner / outer)) * distortion.translation
        for inner, outer in zip((source[1], source[0]), (width, height), strict=True)
    )
    ranges = {
        "rotation": (-distortion.rotation, distortion.rotation),
        "scale": distortion.scale,
        "shift_x": (-shift_x, shift_x),
        "shift_y": (-shift_y, shift_y),
    }
    if not distortion.corners and not distortion.in_training.elastic:
        ranges |= {"shear": (0.0, 0.0), "perspective": (0.0, 0.0)}
    return ranges
