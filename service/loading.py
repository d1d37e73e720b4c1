"""From a model file to a network that is ready to predict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.predictor import Predictor
from service.settings import Settings
from stn import ModelInfo, load_model, read_model_info


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network that is ready to predict."""

    info: ModelInfo
    predictor: Predictor
    runtimes: Mapping[int, str]
    """What runs batches of this size and below."""


def load(path: Path, settings: Settings) -> Loaded:
    """The network of this file, checked completely; blocks while it is read.

    Raises:
        ModelFileError: it is no model file.
    """
    model, info = load_model(path), read_model_info(path)
    predictor = Predictor(model, settings.max_batch, settings.max_waiting)
    return Loaded(info, predictor, {settings.max_batch: "torch"})
