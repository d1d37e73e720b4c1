"""The models of the home folder, loaded and ready to predict."""

import logging
from dataclasses import dataclass
from pathlib import Path

from service.loading import load
from service.model_folder import find_model_files, name_and_version
from service.predictor import Predictor
from service.problems import Problem
from service.settings import Settings
from stn import ModelFileError, ModelInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """One version of one model, ready to predict."""

    name: str
    version: int
    info: ModelInfo
    parameter_names: tuple[str, ...]
    """One name per entry of theta; none without a transformer."""
    predictor: Predictor
    registered: float
    """When its file was written, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file in the models folder that is not served."""

    file: str
    """Relative to the models folder."""
    reason: str


class ModelStore:
    """All versions of all models of a folder; a file that cannot be read is refused, and the others are served."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.served: dict[str, dict[int, Served]] = {}
        self.refused: list[Refused] = []
        for path in find_model_files(settings.models):
            self._load(path)

    async def get(self, name: str | None = None, version: int | None = None) -> Served:
        """As `find`."""
        return self.find(name, version)

    def find(self, name: str | None = None, version: int | None = None) -> Served:
        """This version of this model; the default model and its newest version where none is named.

        Raises:
            Problem: 404 where there is none of that name or version.
        """
        name = name or self.default_name()
        if name is None:
            raise Problem(
                404, "there is no model yet: start the service with `stn up`, or train one and start it again"
            )
        if name not in self.served:
            raise Problem(404, f"model must be one of {', '.join(sorted(self.served)) or 'none'}, got {name[:64]!r}")
        versions = self.served[name]
        if version is not None and version not in versions:
            known = ", ".join(map(str, sorted(versions)))
            raise Problem(404, f"version must be one of model {name}'s ({known}), got {version}")
        return versions[version or max(versions)]

    def default_name(self) -> str | None:
        """The configured default model, or the one registered first, so that a new model changes nobody's answers."""
        if self.settings.default_model or not self.served:
            return self.settings.default_model
        return min(self.served, key=lambda name: (min(v.registered for v in self.served[name].values()), name))

    @property
    def waiting(self) -> int:
        """Images that are taken and not answered yet."""
        return sum(served.predictor.unanswered for versions in self.served.values() for served in versions.values())

    @property
    def loaded(self) -> int:
        """Versions of models in memory."""
        return sum(map(len, self.served.values()))

    def close(self) -> None:
        """Answer what waits, then end every predictor."""
        for versions in self.served.values():
            for served in versions.values():
                served.predictor.close()

    def _load(self, path: Path) -> None:
        file = path.relative_to(self.settings.models)
        try:
            name, version = name_and_version(file)
            loaded = load(path, self.settings, name)
            registered = path.stat().st_mtime
        except (ModelFileError, OSError) as error:
            reason = str(error).removeprefix(f"{path}: ")
            log.warning("model file %s is refused: %s", file, reason)
            self.refused.append(Refused(str(file), reason))
            return
        served = Served(name, version, loaded.info, loaded.plan.parameter_names, loaded.predictor, registered)
        self.served.setdefault(name, {})[version] = served
