"""The body of an upload of a data set: a file as it is, or a folder that is zipped while it is sent."""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from training.own_pictures import SUFFIXES, natural

Progress = Callable[[int, int], None]
"""Called with the bytes of files that were read, and of all that are to be."""

_CHUNK = 2**18
_DEEPEST = 3
"""Folders above a picture: one around all, `train` or `test`, and the class."""


@dataclass(frozen=True, slots=True)
class DatasetBody:
    """What is sent of a path; each call reads it from the beginning, for an upload may be made again.

    Raises:
        ValueError: it is neither a zip file, an npz file, nor a folder with pictures in it.
    """

    path: Path
    progress: Progress | None = None

    def __post_init__(self) -> None:
        self.path.stat()  # an OSError says that there is none
        if self.path.is_dir():
            if next(_pictures(self.path), None) is None:
                raise ValueError(f"path must be a folder with pictures in it, got {str(self.path)!r}")
        elif self.path.suffix.lower() not in (".zip", ".npz"):
            raise ValueError(f"path must be a .zip file, an .npz file or a folder, got {str(self.path)!r}")

    def headers(self) -> dict[str, str]:
        """The type of the body, and its length where that is known."""
        if self.path.is_dir():
            return {"Content-Type": "application/zip"}
        kind = "application/zip" if self.path.suffix.lower() == ".zip" else "application/octet-stream"
        return {"Content-Type": kind, "Content-Length": str(self.path.stat().st_size)}

    def __call__(self) -> Iterator[bytes]:
        """The body, piece by piece."""
        if not self.path.is_dir():
            yield from _reported(self.path, self.path.stat().st_size, 0, self.progress)
            return
        sink = _Sink()
        pictures = sorted(_pictures(self.path), key=lambda picture: natural(str(picture)))
        total, done = sum(picture.stat().st_size for picture in pictures), 0
        # Stored: pictures are packed already.
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for picture in pictures:
                name = picture.relative_to(self.path).as_posix()
                info = zipfile.ZipInfo.from_file(picture, name, strict_timestamps=False)
                with archive.open(info, "w") as entry:
                    for piece in _reported(picture, total, done, self.progress):
                        entry.write(piece)
                        done += len(piece)
                        yield sink.take()
        yield sink.take()


def _reported(path: Path, total: int, done: int, progress: Progress | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece
            done += len(piece)
            if progress:
                progress(done, total)


def _pictures(folder: Path) -> Iterator[Path]:
    """The files that may be pictures; links are followed, hidden files and folders left out.

    Those beside class folders are of no class; where no folder holds a picture they are all that there is.
    """
    beside = []
    is_alone = True
    for place, folders, files in os.walk(folder, followlinks=True):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = [name for name in folders if not name.startswith(".")] if depth < _DEEPEST else []
        pictures = [Path(place, name) for name in files if not name.startswith(".") and name.lower().endswith(SUFFIXES)]
        if not depth:
            beside = pictures
        elif pictures:
            is_alone = False
            yield from pictures
    if is_alone:
        yield from beside


class _Sink(io.RawIOBase):
    """Takes what is written, to be taken away again; it cannot be sought in, so sizes are written behind the data."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
