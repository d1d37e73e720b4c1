"""Files that are complete or absent."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file beside the path to write to; at the end it takes the path's place, and after an error it is gone.

    Its bytes are on the disk before, so that a machine that is switched off does not leave an empty file there.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        _flush(name)
        os.replace(name, target)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # a full disk, which does not say of what
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise
    finally:
        Path(name).unlink(missing_ok=True)


def _flush(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
