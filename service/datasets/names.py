"""Which names of files in an upload are taken: those that mean the same place on every system, below the upload."""

import re
import unicodedata

from service.datasets.refusals import RefusedFile, RefusedUpload

_DRIVE = re.compile(r"^[A-Za-z]:")
_NOT_EVERYWHERE = re.compile(r'[<>:"|?*]')
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{name}{number}" for name in ("COM", "LPT") for number in range(1, 10))}
_LITTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"}
"""What systems leave in folders beside the files of their users; names with a dot in front are left out, too."""
_LONGEST_PART = 200
"""Bytes of one name; file systems take 255."""


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the file that the name of an entry stands for, in Unicode's normal form C.

    Raises:
        RefusedUpload: it does not certainly lie below the folder that it is unpacked to.
    """
    if "\0" in name or "\\" in name:
        raise RefusedUpload(f"the name {name!r} has a backslash or NUL in it")
    if name.startswith("/") or _DRIVE.match(name):
        raise RefusedUpload(f"the name {name!r} is absolute")
    parts = unicodedata.normalize("NFC", name).removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise RefusedUpload(f"the name {name!r} has empty or dotted parts")
    return tuple(parts)


def is_litter(parts: tuple[str, ...]) -> bool:
    """Whether a file is left out without a word: hidden, or what systems leave behind."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in parts)


def check_folder(name: str) -> None:
    """Refuse the upload for the name of a folder of pictures that is not one everywhere."""
    reason = _reason(name)
    if reason:
        raise RefusedUpload(f"the folder {name!r} {reason}; give it another name")


def check_file(name: str) -> None:
    """Refuse the file for its name, where that is not one everywhere."""
    reason = _reason(name)
    if reason:
        raise RefusedFile(f"its name {reason}")


def folded(parts: tuple[str, ...]) -> str:
    """The same for names that are one on some system: in other letter case, or in another of Unicode's forms."""
    decomposed = unicodedata.normalize("NFD", "/".join(parts))
    return unicodedata.normalize("NFC", decomposed.casefold())


def _reason(name: str) -> str | None:
    if not name.isprintable():
        return "has characters that cannot be printed"
    if _NOT_EVERYWHERE.search(name):
        return 'has one of the characters < > : " | ? *, which Windows does not take'
    if name != name.rstrip(". ") or name != name.lstrip(" "):
        return "begins or ends with a space, or ends with a dot, which Windows drops"
    if name.partition(".")[0].rstrip().upper() in _DEVICES:
        return "is that of a device on Windows"
    if len(name.encode()) > _LONGEST_PART:
        return f"has more than {_LONGEST_PART} bytes"
    return None
