"""A version of a model that is in memory, and how it comes there."""

import abc
import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.models.catalogue import Key, Stamp
from service.models.scan import read_stamp
from service.predicting.predictor import Predictor
from service.preparing.loading import load
from service.preparing.plan import Layer
from service.problems import Problem
from service.settings import Settings
from stn import AlignerInfo, ModelInfo, read_aligner_info, read_info
from stn.model_info import DOES
from training.storage.cache import Kept

if TYPE_CHECKING:
    from stn.transforms import Transform


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Held(abc.ABC):
    """One version of one model in memory; whoever answers with it keeps it alive by holding it."""

    name: str
    version: int
    info: ModelInfo | AlignerInfo
    parameter_names: tuple[str, ...]
    """One name per entry of theta; none without a transformer."""
    predictor: Predictor
    runtimes: Mapping[int, str]
    """What runs batches of up to so many images."""
    stamp: Stamp
    """Of the file it was read from."""
    sha256: str
    last_used: float
    """In seconds since the epoch; at first, when it was loaded."""
    kept: Kept | None = None
    """Of shared storage, the copy here, which stays as long as this is served."""

    @property
    def key(self) -> Key:
        return self.name, self.version

    @property
    def registered(self) -> float:
        """When its file was written, in seconds since the epoch."""
        return self.stamp.modified / 1e9


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Served(Held):
    """A version that names what pictures show."""

    info: ModelInfo
    layers: Sequence[Layer]
    """Those whose outputs can be shown, in the order in which they run."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class ServedAligner(Held):
    """A version that lays one picture on another; its predictor takes pairs, see `service.predicting.aligning`."""

    info: AlignerInfo
    transform: "Transform"
    """The one whose theta is the answer."""


def classifier(held: Held) -> Served:
    """What can predict; a Problem, 409, where the model does something else."""
    if not isinstance(held, Served):
        raise _other_task(held)
    return held


def aligner(held: Held) -> ServedAligner:
    """What can align, likewise."""
    if not isinstance(held, ServedAligner):
        raise _other_task(held)
    return held


def _other_task(held: Held) -> Problem:
    return Problem(409, f"version {held.version} of model {held.name}: {DOES[held.info.task]}")


def read_served(path: Path, name: str, version: int, settings: Settings, gives_way: bool = False) -> Held:
    """The network of this file, checked completely; blocks for seconds.

    Raises:
        ModelFileError: it is no model file.
        OSError: it cannot be read, or was changed while it was.
    """
    stamp = read_stamp(path)
    if read_info(path).task == "align":
        return _read_aligner(path, name, version, settings, stamp)
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


def _read_aligner(path: Path, name: str, version: int, settings: Settings, stamp: Stamp) -> ServedAligner:
    """An aligner, which torch runs in this process: it looks at pictures of every size, and no graph of it is made."""
    from service.predicting.aligning import AlignerNetwork
    from stn import load_aligner

    info, network = read_aligner_info(path), load_aligner(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if read_stamp(path) != stamp:
        raise BlockingIOError(None, "it was changed while it was read")
    return ServedAligner(
        name=name,
        version=version,
        info=info,
        transform=network.transform,
        predictor=Predictor(AlignerNetwork(network), settings.max_batch, settings.max_waiting, name),
        parameter_names=network.transform.parameter_names,
        runtimes={settings.max_batch: "eager"},
        stamp=stamp,
        sha256=digest,
        last_used=time.time(),
    )
