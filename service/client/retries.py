"""When a client asks again, and how long it waits before it does."""

import secrets
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

import httpx2

Repeat = Literal["never", "refused", "lost"]
"""When a request may be made again: never; where it certainly had no effect, because it was refused (429, 503) or no
connection was made; or also where a connection was lost before an answer began, so that nobody knows."""

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
_REFUSED = (429, 503)
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_LOST = (*_NOT_SENT, httpx2.NetworkError, httpx2.RemoteProtocolError)
_random = secrets.SystemRandom()


class Lost(NamedTuple):
    """A request that got no whole answer."""

    error: httpx2.RequestError
    began: bool
    """Whether its answer had begun."""


class Attempts:
    """How often a request is made, and until when.

    Args:
        repeat: when it may be made again.
        retries: how often, at most.
        seconds: how long all attempts may take together.
    """

    def __init__(self, repeat: Repeat, retries: int, seconds: float) -> None:
        self._repeat, self._retries = repeat, retries
        self._made = 0
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        return self._end - time.monotonic()

    def pause(self, outcome: httpx2.Response | Lost) -> float | None:
        """Seconds to wait before the next attempt, or None where this outcome is the last."""
        if self._made == self._retries or not _may_repeat(self._repeat, outcome):
            return None
        # Whoever was refused at the same time must not come back at the same time.
        pause = _asked_pause(outcome) + _random.uniform(0.5, 1) * min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._made)
        self._made += 1
        return pause if pause < self.seconds_left else None


def _may_repeat(repeat: Repeat, outcome: httpx2.Response | Lost) -> bool:
    if repeat == "never":
        return False
    if isinstance(outcome, httpx2.Response):
        return outcome.status_code in _REFUSED
    if isinstance(outcome.error, _NOT_SENT):
        return True
    return repeat == "lost" and not outcome.began and isinstance(outcome.error, _LOST)


def _asked_pause(outcome: httpx2.Response | Lost) -> float:
    """Seconds of `Retry-After`, which is a number of them or a date; 0 where there is none."""
    text = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx2.Response) else ""
    if text.isascii() and text.isdecimal():
        return float(text)
    until = _date(text)
    if until is None:
        return 0.0
    assert isinstance(outcome, httpx2.Response)
    now = _date(outcome.headers.get("date", "")) or datetime.now(UTC)  # by the clock that the date was read from
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
