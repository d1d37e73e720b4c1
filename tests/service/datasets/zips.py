"""Zip files, good ones and bad ones."""

import io
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from service.datasets.check import check
from service.datasets.task import Task
from tests.service.conftest import encode, picture

CLASSES = ("cat", "dog")
PICTURES = [encode(picture(6 + seed, 7, seed=seed)) for seed in range(4)]


def good(count: int = 3, around: str = "") -> dict[str, bytes]:
    """Files for two classes, a few pictures each."""
    return {
        f"{around}{name}/{number}.png": PICTURES[number % len(PICTURES)] for name in CLASSES for number in range(count)
    }


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def with_entry(name: str, data: bytes = b"x", mode: int = 0, flags: int = 0) -> bytes:
    """A good set and one entry more, with a name, mode and flags that `zipfile` writes as they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for known, content in good().items():
            archive.writestr(known, content)
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        info.external_attr = mode << 16
        archive.writestr(info, data)
        info.flag_bits |= flags
    return file.getvalue()


def link(target: str = "/etc/passwd") -> bytes:
    return with_entry("cat/9.png", target.encode(), stat.S_IFLNK | 0o777)


def record_of(name: bytes, size: int, packed: int, start: int, checksum: int = 0, method: int = 0) -> bytes:
    """A record of a zip file's directory."""
    head = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, method, 0, 0x21, checksum, packed, size, len(name), *[0] * 5, start
    )
    return head + name


def local_of(name: bytes, size: int, packed: int, checksum: int = 0, method: int = 0) -> bytes:
    """The header in front of a file's data."""
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, method, 0, 0x21, checksum, packed, size, len(name), 0) + name


def closed(body: bytes, directory: bytes, count: int) -> bytes:
    """Body, directory and the record at the end."""
    count = min(count, 0xFFFF)
    return body + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)


def changed(data: bytes, entry: str, **fields: int) -> bytes:
    """The zip file with other numbers in the directory's record of this entry."""
    places = {
        "flags": (8, "<H"),
        "method": (10, "<H"),
        "checksum": (16, "<L"),
        "packed": (20, "<L"),
        "size": (24, "<L"),
        "start": (42, "<L"),
    }
    start = data.rfind(entry.encode()) - 46
    assert data[start : start + 4] == b"PK\1\2"
    found = bytearray(data)
    for name, value in fields.items():
        place, form = places[name]
        struct.pack_into(form, found, start + place, value)
    return bytes(found)


def example_dataset(home: Path, name: str) -> None:
    """Put a data set into the home folder."""
    folder = home / "datasets" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    upload = home / f"{name}.zip"
    upload.write_bytes(zipped(good()))
    check(Task(file=str(upload), folder=str(folder), name=name, max_images=100, max_unpacked_bytes=2**30))
    upload.unlink()
