"""Hidden folders for what is on its way into its place or out of it, and what killed processes left of them.

Whoever works in such a folder holds a lock on it, which the system takes back when the process ends, however that came.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def new_place(root: Path, prefix: str) -> Iterator[Path]:
    """A new hidden folder in this one; it is gone at the end, whatever happens.

    Args:
        root: is made where it is missing; what killed processes left there under this prefix is deleted.
        prefix: begins with a dot.

    Raises:
        OSError: the folder cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    remove_abandoned(root, prefix)
    while True:
        place = Path(tempfile.mkdtemp(dir=root, prefix=prefix))
        with shared(place):
            if not place.is_dir():  # somebody took it for abandoned before it was locked
                continue
            try:
                yield place
            finally:
                shutil.rmtree(place, ignore_errors=True)
            return


@contextlib.contextmanager
def shared(place: Path) -> Iterator[None]:
    """Hold the folder together with others that work in it; not where the file system knows no locks."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(_locked(place, fcntl.LOCK_SH))
        yield


def remove_abandoned(root: Path, *prefixes: str) -> None:
    """Delete the hidden folders that begin so and in which nobody works; what cannot be deleted stays."""
    for prefix in prefixes:
        for place in root.glob(f"{prefix}*"):
            with contextlib.suppress(OSError), _locked(place, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _locked(place: Path, kind: int) -> Iterator[None]:
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)
