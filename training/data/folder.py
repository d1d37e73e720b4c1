"""Your own pictures: a folder with one folder for each class, or with pictures alone where no class is asked for."""

import logging
import os
from pathlib import Path
from typing import NamedTuple

from stn.config import require
from training.config import DataConfig
from training.data.labelled import DataSet
from training.data.labelled_files import LabelledFiles, read_labelled_files
from training.data.picture_files import PictureFiles
from training.own_pictures import ALONE, OWN_FORMATS, SUFFIXES, natural

log = logging.getLogger(__name__)


class _Listing(NamedTuple):
    """Picture files in order, with their classes."""

    names: tuple[str, ...]
    """Relative to the root."""
    labels: tuple[int, ...]
    class_names: tuple[str, ...]


def read_folder(config: DataConfig) -> DataSet:
    """The pictures in ROOT/CLASS, or in ROOT/train/CLASS and ROOT/test/CLASS; those in ROOT, where it holds no folder.

    The latter are one class, `pictures`, which is enough for an aligner. Classes are in natural order of their names, "2"
    before "10". Hidden files and files without one of `SUFFIXES` are left out, and how many is logged; pictures that cannot
    be read are left out and named there.

    Raises:
        ValueError: for no class, a class without pictures, or train and test of different classes.
    """
    root = Path(config.root)
    require(root.is_dir(), "data.root", "a folder with one folder for each class", config.root)
    parts = _list_parts(root)
    names = tuple(name for part in parts for name in part.names)
    labels = tuple(label for part in parts for label in part.labels)
    in_training = len(parts[0].names) if len(parts) == 2 else None
    pictures = PictureFiles(root, names, OWN_FORMATS)
    return read_labelled_files(LabelledFiles(pictures, labels, in_training, parts[0].class_names), config)


def _list_parts(root: Path) -> list[_Listing]:
    """One listing, or two where there are folders train and test of class folders."""
    train, test = root / "train", root / "test"
    if not (_has_folders(train) and _has_folders(test)):
        return [_list(root, root)]
    others = [path.name for path in _entries(root) if path.is_dir() and path not in (train, test)]
    require(not others, "data.root", "a folder with no folders beside train and test, where these hold classes", others)
    listings = [_list(root, part) for part in (train, test)]
    names, test_names = (listing.class_names for listing in listings)
    for first, second, where in ((names, test_names, "test"), (test_names, names, "train")):
        missing = sorted(set(first) - set(second), key=natural)[:5]
        require(
            not missing, "data.root", f"a set whose train and test have the same classes, missing in {where}", missing
        )
    return listings


def _list(root: Path, folder: Path) -> _Listing:
    """The pictures of the class folders in this folder."""
    entries = _entries(folder)
    classes = sorted((path for path in entries if path.is_dir()), key=lambda path: natural(path.name))
    if not classes and (alone := _pictures(entries)):
        return _listing(root, [alone], (ALONE,), len(entries))
    found = [_entries(path) for path in classes]
    pictures = [_pictures(files) for files in found]
    class_names = tuple(path.name for path in classes)
    where = "data.root" if folder == root else f"data.root/{folder.name}"
    require(len(classes) >= 1, where, "a folder with one folder for each class", list(class_names))
    for name, files, inside in zip(class_names, pictures, found, strict=True):
        rule = f"a folder whose class folders all hold pictures ({', '.join(SUFFIXES)})"
        if not files:
            raise ValueError(f"{where} must be {rule}, got none among {len(inside)} files and folders in {name!r}")
    return _listing(root, pictures, class_names, len(entries) - len(classes) + sum(map(len, found)))


def _listing(root: Path, pictures: list[list[Path]], class_names: tuple[str, ...], count: int) -> _Listing:
    """The pictures of each class, of so many files in all."""
    ignored = count - sum(map(len, pictures))
    if ignored:
        log.info("%d files in %s are ignored: they are no pictures in a class folder", ignored, root)
    names = tuple(path.relative_to(root).as_posix() for files in pictures for path in files)
    labels = tuple(label for label, files in enumerate(pictures) for _ in files)
    return _Listing(names, labels, class_names)


def _pictures(files: list[Path]) -> list[Path]:
    return [path for path in files if path.suffix.lower() in SUFFIXES and path.is_file()]


def _entries(folder: Path) -> list[Path]:
    """What lies in the folder and is not hidden, in natural order."""
    return [folder / name for name in sorted(os.listdir(folder), key=natural) if not name.startswith(".")]


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_dir() for path in _entries(folder))
