"""Whether a training gets on, by what it writes and by the processor time that it uses."""

import os
from pathlib import Path

from training.attempts import Watched

LOOK = 0.5
"""Seconds between two looks. One counts for twice as many at most: a worker that stood still itself has seen nothing."""

USED = 0.1
"""Seconds of processor time that are a sign of life."""

BUSY = 6
"""So many times as long as one that does nothing may a training use the processor without doing a batch: what waits for a
device or for another process may spin."""


class Silence:
    """For how long a training has given no sign of life.

    A batch, of training or validation, is one, told by progress.json, and so is whatever it prints; processor time is one,
    too, but while it trains not for ever.

    Args:
        progress: the file.
        console: the file with what it prints.
        allowed: seconds.
    """

    def __init__(self, progress: Path, console: Path, allowed: float) -> None:
        self.allowed = allowed
        self._files, self._progress = (progress, console), Watched(progress)
        self._shown: tuple[object, ...] = ()
        self._used = self._idle = self._mute = 0.0
        self._looked: float | None = None

    def is_due(self, now: float) -> bool:
        return self._looked is None or now >= self._looked + LOOK

    def look(self, now: float, used: float | None, began: int) -> str | None:
        """Why the training counts as one that hangs, for people; None while it does not.

        Args:
            now: by a monotonic clock.
            used: seconds of processor time in all; None where nobody knows: then only one that trains can hang.
            began: the number with which the process was started.
        """
        passed = 0.0 if self._looked is None else min(now - self._looked, 2 * LOOK)
        self._looked = now
        shown = tuple(map(_seen, self._files))
        if shown != self._shown:
            self._shown, self._used, self._idle, self._mute = shown, used or 0.0, 0.0, 0.0
            return None
        self._idle, self._mute = self._idle + passed, self._mute + passed
        if used is not None and abs(used - self._used) >= USED:
            self._used, self._idle = used, 0.0
        if self._idle >= self.allowed and (used is not None or self._trains(began)):
            return f"the training process stood still for {self._idle:.0f} s"
        if self._mute >= BUSY * self.allowed and self._trains(began):
            return f"the training process did no batch for {self._mute:.0f} s"
        return None

    def _trains(self, began: int) -> bool:
        """Whether batches are to be expected: not while it reads data, tests or writes its report."""
        found = self._progress.read()
        return found is not None and found["attempt"] >= began and found.get("phase") == "training"


def _seen(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
