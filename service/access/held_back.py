"""Refusals that are told after a while: whoever tries again at once must not take the machine from who was accepted."""

import asyncio
from collections.abc import Callable

AT_ONCE = 250
"""So many wait for the time that the settings name; more wait longer, so that no more are told in a second."""
MOST_SECONDS = 20.0


class HeldBack:
    """All refusals that wait to be told.

    Args:
        seconds: that one waits, where there are few; 0 to tell each at once, however many.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: dict[int, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}
        self._number = 0
        self._ended = False

    def later(self, tell: Callable[[], None]) -> None:
        """Call this in its time."""
        if not self.seconds or self._ended:
            tell()
            return
        self._number += 1
        number = self._number

        def due() -> None:
            del self._waiting[number]
            tell()

        pause = min(self.seconds * max(1.0, len(self._waiting) / AT_ONCE), max(self.seconds, MOST_SECONDS))
        self._waiting[number] = asyncio.get_running_loop().call_later(pause, due), due

    async def wait(self) -> None:
        """Return in its time."""
        told = asyncio.Event()
        self.later(told.set)
        await told.wait()

    def end(self) -> None:
        """Tell all that wait, and from now on each at once: the service ends."""
        self._ended = True
        for timer, due in list(self._waiting.values()):
            timer.cancel()
            due()
