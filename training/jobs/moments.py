"""When the worker's loop does what, and how it ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
