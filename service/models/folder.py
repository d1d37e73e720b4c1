"""The folder of model files: `models/NAME/VERSION.safetensors`, versions counting from 1.

What else lies beside a model's versions is told in `service.models.records`.
"""

import contextlib
import fcntl
import filecmp
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import stn
from service.models.records import read_history, remember, remove_records
from stn import ModelFileError
from stn.model_info import read_info

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "shipped" / "handwriting.safetensors"
"""The model that comes with the package: handwritten digits, see `training.experiments.shipped`."""
SHIPPED_ALIGNER = SHIPPED.with_name("align.safetensors")
"""The aligner that comes with the package, see docs/alignment.md."""
NAME_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
"""What a model may be called."""
LARGEST_VERSION = 999_999_999
UPLOAD_PREFIX = ".upload."
"""Of files on their way to their place; nothing reads hidden files."""

_ABANDONED = 24 * 3600
"""Seconds after which a file on its way is what a process left behind that was killed."""

_NAME = re.compile(NAME_PATTERN)
_VERSION = re.compile(r"[1-9][0-9]{0,8}\.safetensors")
_PLACE = re.compile(r"([A-Za-z0-9_-]{1,64})/([1-9][0-9]{0,8})\.safetensors")


def find_model_files(models: Path) -> list[Path]:
    """Every file in the models folder that ends in .safetensors, hidden ones left out; none where there is no folder.

    Raises:
        OSError: a folder is there and cannot be read.
    """
    return [models / place for place in find_places(models)]


def find_places(models: Path) -> list[str]:
    """The same relative to the models folder, in order."""
    found: list[str] = []
    for folder, folders, files in os.walk(models, onerror=_raise_unless_gone, followlinks=True):
        inside = os.path.relpath(folder, models)
        depth = 0 if inside == "." else inside.count("/") + 1
        folders[:] = [name for name in folders if not name.startswith(".")] if depth < 3 else []
        chosen = [name for name in files if name.endswith(".safetensors") and not name.startswith(".")]
        found += [f"{inside}/{name}" for name in chosen] if depth else chosen
    return sorted(found)


def model_file(models: Path, name: str, version: int) -> Path:
    """Where this version of this model lies."""
    return models / name / f"{version}.safetensors"


def is_name(name: str) -> bool:
    """Whether a model may be called so."""
    return _NAME.fullmatch(name) is not None


def name_and_version(place: str) -> tuple[str, int]:
    """What a place relative to the models folder stands for, or a ModelFileError."""
    found = _PLACE.fullmatch(place)
    if not found:
        raise ModelFileError("a model file must lie at NAME/VERSION.safetensors, VERSION being 1, 2, 3 ...")
    return found[1], int(found[2])


def versions_there(models: Path, name: str | None) -> list[int]:
    """The versions whose files lie in the folder now, whatever is in them; those of every model where none is named."""
    names = [name] if name is not None else os.listdir(models) if models.is_dir() else []
    return [version for name in names if is_name(name) for version in _versions(models, name)]


def register(models: Path, name: str, source: Path) -> int:
    """Copy a model file into the models folder as the next version of this name; the version.

    Raises:
        ModelFileError: the source is not a model file.
    """
    load = stn.load_model if read_info(source).task == "classify" else stn.load_aligner
    load(source)
    with _copied(models, name, source) as beside:
        return _link_next(beside, models, name)


def register_once(models: Path, name: str, source: Path) -> int:
    """The version that a model file has become, now or by an earlier call; torch is not needed for it.

    Raises:
        ModelFileError: the source is not a model file.
    """
    read_info(source)
    with _copied(models, name, source) as beside:
        return add(models, name, beside)[0]


@contextlib.contextmanager
def _copied(models: Path, name: str, source: Path) -> Iterator[Path]:
    """A copy on its way, in the model's folder, until the end of the block."""
    folder = models / name
    folder.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=folder, prefix=".new.")
    os.close(handle)
    try:
        shutil.copyfile(source, beside)
        os.chmod(beside, 0o644)
        yield Path(beside)
    finally:
        os.unlink(beside)


def add(models: Path, name: str, source: Path) -> tuple[int, bool]:
    """Give a model file that lies in the models folder the next version of this name: that, and whether it is new.

    It is not where a version has the same bytes: then that version is meant. Several processes may add at once.
    """
    while True:
        (models / name).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), _locked(models / name):  # somebody may delete the model just now
            version = find_version(models, name, source)
            return (version, False) if version else (_link_next(source, models, name), True)


def remove_version(models: Path, name: str, version: int) -> None:
    """Delete this version's file; with the last one, all that is left of the model."""
    path = model_file(models, name, version)
    with contextlib.suppress(FileNotFoundError):
        remember(models, name, path.lstat().st_mtime, version)
        path.unlink()
    if not _versions(models, name):
        remove_model(models, name, ())


def remove_model(models: Path, name: str, versions: Iterable[int]) -> None:
    """Delete these versions in this order, then what else belongs to the model; files of others stay."""
    for version in versions:
        model_file(models, name, version).unlink(missing_ok=True)
    remove_records(models, name)
    with contextlib.suppress(OSError):  # the folder holds something else
        (models / name).rmdir()


def remove_abandoned(models: Path) -> None:
    """Delete what killed processes left on its way; what cannot be deleted stays."""
    for pattern in (f"{UPLOAD_PREFIX}*", "*/.new.*"):
        for path in models.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()


def find_version(models: Path, name: str, source: Path) -> int | None:
    """The version of this name whose file has the same bytes, where there is one."""
    for version in _versions(models, name):
        with contextlib.suppress(FileNotFoundError):
            if filecmp.cmp(model_file(models, name, version), source, shallow=False):
                return version
    return None


def register_shipped(models: Path) -> None:
    """Register the package's own models, so that there are some from the start; not where there is any already."""
    if not find_model_files(models):
        for file in (SHIPPED, SHIPPED_ALIGNER):  # replicas that share the folder may start at once
            register_once(models, file.stem, file)
        log.info("no model has been registered yet: serving %s, which comes with the package", SHIPPED.stem)


def _versions(models: Path, name: str) -> list[int]:
    return sorted(int(path.stem) for path in (models / name).glob("*.safetensors") if _VERSION.fullmatch(path.name))


def _link_next(source: str | Path, models: Path, name: str) -> int:
    """Give the file the next version number; a link fails where the number was taken meanwhile.

    A number is not given again after its file was deleted.
    """
    version = max([read_history(models, name).highest, *_versions(models, name)]) + 1
    while True:
        try:
            os.link(source, model_file(models, name, version))
            return version
        except FileExistsError:
            version += 1


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder against other processes that add to it; where the file system knows no locks, it does not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
