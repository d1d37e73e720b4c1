"""The directory of a zip file, read strictly and with bounded memory; nothing is unpacked here.

    local header, name, data   one after the other, for each file
    directory                  a record for each file: name, sizes, place of its local header
    ZIP64 record and locator   where numbers exceed 16 or 32 bits
    end record                 place of the directory; at the end of the file, but for a comment

Python's `zipfile` believes all of it before it looks, makes an object for each of a million records, and lets files overlap.

Source: APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from service.datasets.refusals import RefusedUpload

STORED, DEFLATED = 0, 8
"""The methods that are read."""

_LOCAL = struct.Struct("<4s5H3L2H")
_RECORD = struct.Struct("<4x6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT = 2**16 - 1
_BLANK16, _BLANK32 = 2**16 - 1, 2**32 - 1
"""Where a number lies in the ZIP64 record instead."""
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_UTF8 = 0x0800
_ZIP64_FIELD, _UNICODE_FIELD = 0x0001, 0x7075
_LONGEST_NAME = 1000
_BROKEN = "it is not a zip file that is whole and in order"


class _Record(NamedTuple):
    """The numbers of a record of the directory, in their order."""

    made_by: int
    needed: int
    flags: int
    method: int
    time: int
    date: int
    checksum: int
    packed: int
    size: int
    name_bytes: int
    extra_bytes: int
    comment_bytes: int
    disk: int
    inside: int
    outside: int
    """What the system that made it says of the file; the upper half is the mode of Unix."""
    start: int


class Entry(NamedTuple):
    """A file in a zip file, as its directory describes it."""

    name: str
    raw_name: bytes
    method: int
    checksum: int
    packed: int
    """Bytes of its data in the zip file."""
    size: int
    """Bytes that it is said to have when it is unpacked."""
    start: int
    """Of its local header."""

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def read_directory(file: IO[bytes], most: int) -> list[Entry]:
    """All entries, in the order of the directory; where their data lie has been checked, not what they are.

    Args:
        file: the zip file.
        most: entries; a directory with more is not read to its end.

    Raises:
        RefusedUpload: it is no zip file, is damaged, or has entries that are no plain files, lie over one another, or are
            encrypted.
    """
    start, size = _find_directory(file)
    entries: list[Entry] = []
    for entry in _records(file, start, size):
        if len(entries) == most:
            raise RefusedUpload(f"it has more than {most:,} entries")
        entries.append(entry)
    _check_places(file, entries, start)
    return entries


def data_start(file: IO[bytes], entry: Entry) -> int:
    """Where the data of this entry begin: behind its local header, which must agree with the directory."""
    file.seek(entry.start)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\3\4"):
        raise RefusedUpload(f"{_BROKEN}: nothing lies where {entry.name!r} should")
    _, _, flags, method, *_, name_bytes, extra_bytes = _LOCAL.unpack(head)
    if method != entry.method or flags & _ENCRYPTED or file.read(name_bytes) != entry.raw_name:
        raise RefusedUpload(f"{_BROKEN}: it has two descriptions of {entry.name!r}, which differ")
    return entry.start + _LOCAL.size + int(name_bytes) + int(extra_bytes)


def _find_directory(file: IO[bytes]) -> tuple[int, int]:
    """Its start and its bytes."""
    length = file.seek(0, 2)
    tail_start = max(0, length - _END.size - _LONGEST_COMMENT)
    file.seek(tail_start)
    tail = file.read()
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < _END.size:
        raise RefusedUpload("it is neither a zip file nor an .npz file, or it is cut short")
    _, disk, first_disk, _, _, size, start, comment = _END.unpack_from(tail, found)
    end = tail_start + found
    if found + _END.size + comment != len(tail):
        raise RefusedUpload(f"{_BROKEN}: something follows its end")
    file.seek(max(0, end - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if len(locator) == _LOCATOR.size and locator.startswith(b"PK\6\7"):
        end -= _LOCATOR.size + _END64.size
        file.seek(max(0, end))
        record = file.read(_END64.size)
        if end < 0 or not record.startswith(b"PK\6\6"):
            raise RefusedUpload(f"{_BROKEN}: its ZIP64 record is missing")
        _, _, _, _, disk, first_disk, _, _, size64, start64 = _END64.unpack(record)
        if _differ(size, size64) or _differ(start, start64):
            raise RefusedUpload(f"{_BROKEN}: it has two descriptions of its directory, which differ")
        size, start = size64, start64
    if disk or first_disk:
        raise RefusedUpload("it is one part of several")
    if start + size != end:
        raise RefusedUpload(f"{_BROKEN}: its directory is not where it should be")
    return start, size


def _differ(short: int, long: int) -> bool:
    return short != _BLANK32 and short != long


def _records(file: IO[bytes], start: int, size: int) -> Iterator[Entry]:
    file.seek(start)
    left = size
    while left:
        head = file.read(_RECORD.size)
        if left < _RECORD.size or not head.startswith(b"PK\1\2"):
            raise RefusedUpload(f"{_BROKEN}: its directory is damaged")
        record = _Record(*_RECORD.unpack(head))
        length = record.name_bytes + record.extra_bytes + record.comment_bytes
        left -= _RECORD.size + length
        if left < 0:
            raise RefusedUpload(f"{_BROKEN}: its directory is damaged")
        if record.name_bytes > _LONGEST_NAME:
            raise RefusedUpload(f"an entry has a name of {record.name_bytes:,} bytes; {_LONGEST_NAME:,} may be")
        rest = file.read(length)
        yield _entry(record, rest[: record.name_bytes], rest[record.name_bytes :][: record.extra_bytes])


def _entry(record: _Record, raw_name: bytes, extra: bytes) -> Entry:
    extras = dict(_extra_fields(extra))
    name = _name(raw_name, record.flags, extras.get(_UNICODE_FIELD, b""))
    numbers = (record.size, record.packed, record.start)
    size, packed, start = _long_numbers(name, numbers, extras.get(_ZIP64_FIELD, b""))
    if record.flags & _ENCRYPTED:
        raise RefusedUpload(f"{name!r} is encrypted")
    kind = stat.S_IFMT(record.outside >> 16)
    if kind == stat.S_IFLNK:
        raise RefusedUpload(f"{name!r} is a link")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RefusedUpload(f"{name!r} is neither a file nor a folder")
    if record.disk not in (0, _BLANK16):
        raise RefusedUpload("it is one part of several")
    if name.endswith("/") and size:
        raise RefusedUpload(f"{name!r} is a folder that holds bytes")
    return Entry(name, raw_name, record.method, record.checksum, packed, size, start)


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        yield kind, extra[place + 4 : place + 4 + length]
        place += 4 + length


def _name(raw: bytes, flags: int, unicode_field: bytes) -> str:
    """As UTF-8 where it is, whether or not that is said, and in the character set of DOS otherwise."""
    if len(unicode_field) > 5 and unicode_field[0] == 1:
        (checksum,) = struct.unpack_from("<L", unicode_field, 1)
        raw = unicode_field[5:] if checksum == zlib.crc32(raw) else raw
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if flags & _UTF8:
            raise RefusedUpload(f"{_BROKEN}: the name {raw!r} is not UTF-8") from None
        return raw.decode("cp437")


def _long_numbers(name: str, numbers: tuple[int, int, int], field: bytes) -> Iterator[int]:
    """The numbers, of which those that are blank lie in the ZIP64 field, in this order."""
    place = 0
    for number in numbers:
        if number == _BLANK32:
            if len(field) < place + 8:
                raise RefusedUpload(f"{_BROKEN}: the sizes of {name!r} are missing")
            (number,) = struct.unpack_from("<Q", field, place)
            place += 8
        yield number


def _check_places(file: IO[bytes], entries: list[Entry], directory: int) -> None:
    """Each has bytes of its own, before the directory."""
    free = 0
    for entry in sorted(entries, key=lambda entry: entry.start):
        if entry.start < free:
            raise RefusedUpload(f"{entry.name!r} lies over another file, as in a zip bomb")
        free = data_start(file, entry) + entry.packed
        if free > directory:
            raise RefusedUpload(f"{entry.name!r} lies over the directory, as in a zip bomb")
