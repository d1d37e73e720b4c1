"""The folder of model files: `models/NAME/VERSION.safetensors`, versions counting from 1."""

import filecmp
import logging
import os
import re
import shutil
import tempfile
from pathlib import Path

from stn import ModelFileError, load_model

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "shipped" / "handwriting.safetensors"
"""The model that comes with the package: handwritten digits, see `training.experiments.shipped`."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}\.safetensors")


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


def find_version(models: Path, name: str, source: Path) -> int | None:
    """The version of this name whose file has the same bytes, where there is one."""
    for path in sorted((models / name).glob("*.safetensors")):
        if _VERSION.fullmatch(path.name) and filecmp.cmp(path, source, shallow=False):
            return int(path.stem)
    return None


def register_shipped(models: Path) -> None:
    """Register the package's own model, so that there is one from the start; not where there is any already."""
    if not find_model_files(models):
        register(models, SHIPPED.stem, SHIPPED)
        log.info("no model has been registered yet: serving %s, which comes with the package", SHIPPED.stem)


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
