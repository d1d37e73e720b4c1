"""From the names of the files in an upload to the classes that their folders stand for."""

from collections.abc import Sequence
from typing import NamedTuple

from service.datasets.names import check_file, check_folder, folded
from service.datasets.refusals import Refused, RefusedFile, RefusedUpload
from training.own_pictures import ALONE, SUFFIXES, natural

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".jar", ".npz")
_PARTS = ("train", "test")

Place = tuple[str, ...]
"""CLASS, FILE; or PART, CLASS, FILE, the part being train or test; or FILE alone."""


class Named(NamedTuple):
    """A file that is taken for a picture by its name and place, and has yet to be opened."""

    number: int
    """Of the file, in the order of the upload."""
    place: Place

    @property
    def class_name(self) -> str:
        return self.place[-2] if len(self.place) > 1 else ALONE


def find_pictures(names: Sequence[tuple[str, ...]], refused: Refused) -> list[Named]:
    """The files that lie in class folders and have the suffix of a picture, class by class in natural order.

    Folders around all of them are taken off. There are parts where all lie in folders `train` and `test` of class
    folders, and one class where no picture lies in a folder, as training reads them.

    Args:
        names: the folders and the file, for each file.
        refused: gets the others, with the reasons.

    Raises:
        RefusedUpload: for a folder whose name is not one everywhere, or is the same as that of another one somewhere.
    """
    outer = _outer(names)
    inner = [name[outer:] for name in names]
    has_parts = {name[0] for name in inner if len(name) > 1} == {*_PARTS} and any(len(name) > 2 for name in inner)
    has_folders = any(len(name) > 1 and _suffix(name) in SUFFIXES for name in inner)
    depth = 3 if has_parts else 2 if has_folders else 1
    found = []
    taken: dict[str, str] = {}
    for number, (name, place) in enumerate(zip(names, inner, strict=True)):
        whole = "/".join(name)
        try:
            _check(place, depth)
            _check_new(taken, folded(place), whole)
        except RefusedFile as refusal:
            refused.add(whole, str(refusal))
        else:
            found.append(Named(number, place))
    _check_folders({picture.place[:-1] for picture in found if len(picture.place) > 1})
    return sorted(found, key=lambda picture: [natural(part) for part in picture.place])


def _outer(names: Sequence[tuple[str, ...]]) -> int:
    """How many folders lie around all files and the class folders."""
    outer = 0
    while any(len(name) > outer + 2 for name in names):
        if not all(len(name) > outer + 1 and name[outer] == names[0][outer] for name in names):
            break
        outer += 1
    return outer


def _check(place: Place, depth: int) -> None:
    suffix = _suffix(place)
    if suffix in _ARCHIVES:
        raise RefusedFile("it is an archive inside of the archive, which is not opened")
    if suffix not in SUFFIXES:
        raise RefusedFile(f"it does not end as a picture does ({', '.join(SUFFIXES)})")
    if len(place) < depth:
        raise RefusedFile("it lies in no class folder")
    if len(place) > depth:
        raise RefusedFile("it lies in a folder inside of a class folder")
    check_file(place[-1])


def _suffix(place: Place) -> str:
    return place[-1][place[-1].rfind(".") :].lower()


def _check_new(taken: dict[str, str], key: str, name: str) -> None:
    if key in taken:
        same = "there twice" if taken[key] == name else f"that of {taken[key]!r} on some systems"
        raise RefusedFile(f"its name is {same}")
    taken[key] = name


def _check_folders(folders: set[Place]) -> None:
    known: dict[str, Place] = {}
    for folder in sorted(folders):
        check_folder(folder[-1])
        other = known.setdefault(folded(folder), folder)
        if other != folder:
            raise RefusedUpload(f"the folders {other[-1]!r} and {folder[-1]!r} are one on some systems")
