"""The folder of model files: `models/NAME/VERSION.safetensors`, versions counting from 1."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from service.problems import Problem
from service.settings import Settings
from stn import ModelFileError, load_model

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}\.safetensors")

NO_MODEL = "there is no model yet: train one with `stn train digits`, then start the service again"


def find_model_files(models: Path) -> list[Path]:
    """Every file in the models folder that ends in .safetensors, hidden ones left out."""
    return sorted(path for path in models.glob("**/*.safetensors") if not path.name.startswith("."))


def model_file(models: Path, name: str, version: int) -> Path:
    """Where this version of this model lies."""
    return models / name / f"{version}.safetensors"


def name_and_version(file: Path) -> tuple[str, int]:
    """What a path relative to the models folder stands for, or a ModelFileError."""
    if len(file.parts) != 2 or not _NAME.fullmatch(file.parts[0]) or not _VERSION.fullmatch(file.parts[1]):
        raise ModelFileError("a model file must lie at NAME/VERSION.safetensors, VERSION being 1, 2, 3 ...")
    return file.parts[0], int(file.stem)


def default_name(models: Mapping[str, Mapping[int, object]], settings: Settings) -> str:
    """The configured default model, or the one registered first, so that a new model changes nobody's answers.

    Raises:
        Problem: 404 where there is no model at all.
    """
    if settings.default_model:
        return settings.default_model
    if not models:
        raise Problem(404, NO_MODEL)

    def registered(name: str) -> float:
        return min(model_file(settings.models, name, version).stat().st_mtime for version in models[name])

    return min(models, key=lambda name: (registered(name), name))


def choose_version(
    models: Mapping[str, Mapping[int, object]], settings: Settings, name: str | None, version: int | None
) -> tuple[str, int]:
    """This version of this model; the default model and its newest version where none is named.

    Raises:
        Problem: 404 where there is none of that name or version.
    """
    name = name or default_name(models, settings)
    if name not in models:
        raise Problem(404, f"model must be one of {', '.join(sorted(models)) or 'none'}, got {name[:64]!r}")
    if version is not None and version not in models[name]:
        known = ", ".join(map(str, sorted(models[name])))
        raise Problem(404, f"version must be one of model {name}'s ({known}), got {version}")
    return name, version or max(models[name])


def register(models: Path, name: str, source: Path) -> int:
    """Copy a model file into the models folder as the next version of this name; the version.

    Raises:
        ModelFileError: the source is not a model file.
    """
    load_model(source)
    folder = models / name
    folder.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=folder, prefix=".new.")
    os.close(handle)
    try:
        shutil.copyfile(source, beside)
        os.chmod(beside, 0o644)
        return _link_next(beside, models, name)
    finally:
        os.unlink(beside)


def _link_next(beside: str, models: Path, name: str) -> int:
    """Give the file the first free version number; a link fails where the number was taken meanwhile."""
    taken = [int(path.stem) for path in (models / name).glob("*.safetensors") if _VERSION.fullmatch(path.name)]
    version = max(taken, default=0) + 1
    while True:
        try:
            os.link(beside, model_file(models, name, version))
            return version
        except FileExistsError:
            version += 1
