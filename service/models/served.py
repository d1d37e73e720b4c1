"""A version of a model that is in memory, and how it comes there."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.models.catalogue import Key, Stamp
from service.models.scan import read_stamp
from service.predicting.predictor import Predictor
from service.preparing.loading import load
from service.preparing.plan import Layer
from service.settings import Settings
from stn import ModelInfo


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Served:
    """One version of one model, ready to predict; whoever answers with it keeps it alive by holding it."""

    name: str
    version: int
    info: ModelInfo
    parameter_names: tuple[str, ...]
    """One name per entry of theta; none without a transformer."""
    layers: Sequence[Layer]
    """Those whose outputs can be shown, in the order in which they run."""
    predictor: Predictor
    runtimes: Mapping[int, str]
    """What runs batches of up to so many images."""
    stamp: Stamp
    """Of the file it was read from."""
    sha256: str
    last_used: float
    """In seconds since the epoch; at first, when it was loaded."""

    @property
    def key(self) -> Key:
        return self.name, self.version

    @property
    def registered(self) -> float:
        """When its file was written, in seconds since the epoch."""
        return self.stamp.modified / 1e9


def read_served(path: Path, name: str, version: int, settings: Settings, gives_way: bool = False) -> Served:
    """The network of this file, checked completely; blocks for seconds.

    Raises:
        ModelFileError: it is no model file.
        OSError: it cannot be read, or was changed while it was.
    """
    stamp = read_stamp(path)
    loaded = load(path, settings, name, gives_way)
    if read_stamp(path) != stamp:
        raise BlockingIOError(None, "it was changed while it was read")
    return Served(
        name=name,
        version=version,
        info=loaded.info,
        predictor=loaded.predictor,
        parameter_names=loaded.plan.parameter_names,
        layers=loaded.plan.layers,
        runtimes=loaded.plan.runtimes,
        stamp=stamp,
        sha256=loaded.digest,
        last_used=time.time(),
    )
