"""Why a run ended with an error: for its exit code, and for the worker that started it."""

import contextlib
import errno
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

from training.attempts import Attempt
from training.runs import write_json

MISTAKE, RESOURCES, UNREACHABLE, MEMORY = 2, 3, 5, 6
"""Exit codes: a mistake in config or data; the disk; the network, or what lies behind it; memory."""

OF_NETWORKS = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
    }
)
MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})


class Unreachable(OSError):
    """What a run has to download did not come."""


class OutOfMemory(OSError):
    """Memory, of the machine or of a GPU, did not suffice."""


@contextlib.contextmanager
def memory_told(advice: str) -> Iterator[None]:
    """That memory ran out, which torch has several errors for, as an `OutOfMemory` with this advice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not re.search(
            "can't allocate|out of memory", str(error), re.IGNORECASE
        ):
            raise
        asked = re.search(r"(?:tried|unable) to allocate ([\d.]+ \w+)", str(error), re.IGNORECASE)
        size = f" when {asked[1]} more were asked for" if asked else ""
        raise OutOfMemory(f"memory ran out{size}; {advice}") from error


def is_of_network(error: BaseException) -> bool:
    """Whether a download went wrong, and not a disk."""
    if isinstance(error, URLError) and isinstance(error.reason, OSError) and error.reason.errno is not None:
        return is_of_network(error.reason)
    return isinstance(
        error, Unreachable | URLError | ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError
    ) or (isinstance(error, OSError) and error.errno in OF_NETWORKS)


def is_of_disk(error: BaseException) -> bool:
    """Whether a disk is full or damaged, or something may not be written or read: not where there is nothing."""
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        return is_of_disk(error.reason)
    return (
        isinstance(error, OSError)
        and error.errno is not None
        and error.errno not in MISSING
        and not is_of_network(error)
    )


def exit_code(error: ValueError | OSError, run: Path | None) -> int:
    """The exit code that says of which kind the error is.

    A file that is missing is a mistake in the config or the data, unless it is one of the run folder, which somebody else
    has removed.
    """
    if isinstance(error, ValueError):
        return MISTAKE
    if is_of_network(error):
        return UNREACHABLE
    if isinstance(error, OutOfMemory) or error.errno == errno.ENOMEM:
        return MEMORY
    if error.errno not in MISSING:
        return RESOURCES
    return RESOURCES if run is not None and _lies_in(error.filename, run) else MISTAKE


def leave_word(attempt: Attempt, code: int, reason: str) -> None:
    """Write failure.json for a worker that did not start this process, and so never learns its exit code; where the disk is
    full, it has to do without."""
    with contextlib.suppress(OSError):
        write_json(attempt.run / "failure.json", {"attempt": attempt.started, "code": code, "reason": reason})


def _lies_in(name: object, run: Path) -> bool:
    return isinstance(name, str | Path) and Path(name).absolute().is_relative_to(run.absolute())
