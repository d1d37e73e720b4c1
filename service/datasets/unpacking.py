"""The bytes of the files in a zip file, counted as they come."""

import zlib
from collections.abc import Iterator, Sequence
from typing import IO

from service.datasets.refusals import RefusedFile, RefusedUpload
from service.datasets.zip_directory import DEFLATED, STORED, Entry, data_start

_CHUNK = 2**18
_RATIO = 200
"""How much smaller than its files a zip file of pictures may be; the smallest is 1,032 times smaller."""
_HARMLESS = 2**28
"""Bytes for which that does not matter."""


def check_sizes(entries: Sequence[Entry], length: int, max_bytes: int) -> None:
    """Refuse an upload for the sizes that it declares, which `unpacked` holds it to.

    Args:
        entries: all of them.
        length: of the zip file.
        max_bytes: that all files together may have.
    """
    total = sum(entry.size for entry in entries)
    if total > max_bytes:
        raise RefusedUpload(f"it unpacks to {total:,} bytes; {max_bytes:,} may be")
    if total > max(_HARMLESS, _RATIO * length):
        raise RefusedUpload(f"it unpacks to {total // length:,} times its size, as a zip bomb does; {_RATIO} may be")


def unpacked(file: IO[bytes], entry: Entry) -> Iterator[bytes]:
    """The bytes of an entry in pieces; only at their end is known whether they are undamaged.

    Raises:
        RefusedUpload: there are more than the directory says.
        RefusedFile: they are damaged, fewer, or packed in a way that is not read.
    """
    pieces = _stored(file, entry) if entry.method == STORED else _inflated(file, entry)
    if entry.method not in (STORED, DEFLATED):
        raise RefusedFile(f"it is packed by method {entry.method}; only stored (0) and deflated (8) files are read")
    size = checksum = 0
    for piece in pieces:
        size += len(piece)
        if size > entry.size:
            raise RefusedUpload(f"{entry.name!r} unpacks to more than the {entry.size:,} bytes it is said to have")
        checksum = zlib.crc32(piece, checksum)
        yield piece
    if size < entry.size or checksum != entry.checksum:
        raise RefusedFile("it is damaged: its bytes are not those that were packed")


def _packed(file: IO[bytes], entry: Entry) -> Iterator[bytes]:
    file.seek(data_start(file, entry))
    left = entry.packed
    while left:
        piece = file.read(min(left, _CHUNK))
        if not piece:
            return
        left -= len(piece)
        yield piece


_stored = _packed


def _inflated(file: IO[bytes], entry: Entry) -> Iterator[bytes]:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for packed in _packed(file, entry):
            rest = packed
            while rest and not stream.eof:
                yield stream.decompress(rest, _CHUNK)
                rest = stream.unconsumed_tail
        while not stream.eof:
            piece = stream.decompress(b"", _CHUNK)
            if not piece:
                return
            yield piece
    except zlib.error:
        raise RefusedFile("it is damaged: it cannot be unpacked") from None
