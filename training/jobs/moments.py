"""When the worker's loop does what, who sees that it goes round, and how it ends."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Every:
    """Whether so many seconds have passed since it last said so."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = -seconds

    def is_due(self, now: float) -> bool:
        if now < self._last + self.seconds:
            return False
        self._last = now
        return True


class Pulse:
    """A file whose time of change says when its process last came round.

    Args:
        file: None for none.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self._second = Every(1.0)

    def beat(self) -> None:
        """At most once a second; where that fails, the file grows old, as it does where nobody beats."""
        if self.file is not None and self._second.is_due(time.monotonic()):
            with contextlib.suppress(OSError):
                self.file.touch()


@contextmanager
def ended_by_signals(end: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C set this, and do nothing else, meanwhile."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: end.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
