"""How often each client may ask."""

import fcntl
import functools
import hashlib
import mmap
import os
import time
from pathlib import Path

BURST_SECONDS = 2.0
"""A client that was quiet may ask as often at once as its rate allows in this time, and always once."""

REPLICAS = 16
"""Of so many at most that share rates is all counted that a client was let in too often by; what is beyond is forgiven."""

_SLOTS = 2**16
_SALT_BYTES = 16


class RateLimit:
    """A token bucket for each client, kept as one number: when its bucket will be full again.

    The numbers lie in a table of fixed size, at a place that a salted hash of the client's name gives. Two clients that
    share a place, one pair in 65,536, share its rate. Processes that open the same file share the table. They do not
    lock it: two requests of a client in the same microsecond may count as one. Tables of several machines tell each other
    what they have counted (`service/access/rate_exchange.py`).
    """

    def __init__(self, file: Path | None = None) -> None:
        """An empty table of this process, or the table in this file."""
        self._memory = mmap.mmap(-1, _SALT_BYTES + 8 * _SLOTS) if file is None else _map(file)
        if file is None:
            self._memory[:_SALT_BYTES] = os.urandom(_SALT_BYTES)
        self._full = memoryview(self._memory)[_SALT_BYTES:].cast("d")
        salt = self._memory[:_SALT_BYTES]
        self.name = hashlib.blake2b(salt, digest_size=8).hexdigest()
        """The same for all processes that share this table, and no other's."""
        self._place = functools.lru_cache(4096)(lambda client: _place(salt, client_id(client)))
        self._place_of_id = functools.partial(_place, salt)
        self._counted: dict[str, float] | None = None
        self._most = 1

    def begin_to_tell(self) -> None:
        """Remember from now on what is counted, for others that share the rates."""
        self._counted, self._most = {}, REPLICAS

    def counted(self) -> dict[str, float]:
        """What this process has counted since it was last asked: the seconds in which each client's bucket fills again."""
        counted, self._counted = self._counted or {}, {}
        return counted.copy()

    def count_of_others(self, client: bytes, seconds: float, now: float | None = None) -> None:
        """Count what others have let in of this client, by its `client_id`."""
        place = self._place_of_id(client)
        self._full[place] = max(self._full[place], time.monotonic() if now is None else now) + seconds

    def wait(self, client: str, rate: float, now: float | None = None) -> float:
        """Seconds until the client may ask again; 0.0 where it may ask now, which is then counted.

        Args:
            client: Its name or address.
            rate: Requests per second.
            now: Seconds of the clock that all processes share and that never goes back.
        """
        now = time.monotonic() if now is None else now
        burst = max(1.0, rate * BURST_SECONDS)
        place = self._place(client)
        full = max(self._full[place], now)
        if full > now + self._most * burst / rate + 1:  # of another rate, or from before the machine was started
            full = now
        wait = full - now - (burst - 1) / rate
        if wait > 1e-9:  # less is rounding
            return wait
        self._full[place] = full + 1 / rate
        if self._counted is not None:
            self._counted[client] = self._counted.get(client, 0.0) + 1 / rate
        return 0.0


def client_id(client: str) -> bytes:
    """What a client is called among those who share rates: 8 bytes, whatever its name."""
    return hashlib.blake2b(client.encode(), digest_size=8).digest()


def _place(salt: bytes, client: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(client, digest_size=8, key=salt).digest()) % _SLOTS


def _map(file: Path) -> mmap.mmap:
    """The file as memory; whoever comes first gives it its salt."""
    handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = _SALT_BYTES + 8 * _SLOTS
        if os.fstat(handle).st_size != size:
            os.ftruncate(handle, 0)
            os.write(handle, os.urandom(_SALT_BYTES))
            os.ftruncate(handle, size)
        return mmap.mmap(handle, size)
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # the mapping has a copy of the handle, which would keep the lock
        os.close(handle)
