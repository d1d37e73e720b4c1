"""The keys as the running service knows them."""

import hmac
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from service.access.keys import Key, digest, read_keys
from service.access.scopes import SCOPES

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""The file is looked at no more often."""
LONGEST_KEY = 256
"""Bytes; what is longer is not hashed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks."""

    name: str
    """Of the key."""
    scopes: frozenset[str]


ANONYMOUS = Identity("anonymous", frozenset(SCOPES))
"""Everybody, where there are no keys."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key of the file, as it is needed with every request."""

    identity: Identity
    digest: bytes
    expires: float
    """In seconds since the epoch; infinite where it does not expire."""
    rate: float | None


class KeyRing:
    """Follows the file of keys. Once there has been one, keys are required, also when it is damaged or gone."""

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one.

        Raises:
            ValueError: it cannot be read.
        """
        self.path = path
        self.required = False
        self._keys: dict[bytes, KnownKey] = {}
        self._seen = self._look()
        self._next_look = time.monotonic() + LOOK_SECONDS
        if self._seen is not None:
            self._take(read_keys(path))

    def refresh(self) -> None:
        """Read the file again where it has changed. A damaged one changes nothing, a missing one holds no keys."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._take(read_keys(self.path))
            names = ", ".join(key.identity.name for key in self._keys.values())
            log.info("the keys have changed, and are now those of: %s", names or "nobody")
        except FileNotFoundError:
            self._keys = {}
            log.error("the keys file is gone, and no key is valid until it is back: %s", self.path)
        except (ValueError, OSError) as error:
            self.required = True
            log.error("the keys stay as they were: %s", error)

    def find(self, key: bytes) -> KnownKey | None:
        """The key's entry, or None where it is not known.

        Found by the beginning of its hash, so that the time taken tells of no key: nobody can choose a key by its hash.
        """
        if len(key) > LONGEST_KEY:
            return None
        hashed = digest(key)
        known = self._keys.get(hashed[:8])
        return known if known is not None and hmac.compare_digest(known.digest, hashed) else None

    def _look(self) -> tuple[int, int, int] | None:
        """What tells one state of the file from another; None where there is no file."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        except OSError:  # reading it will say why
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def _take(self, keys: tuple[Key, ...]) -> None:
        self.required = True
        known = map(_known, keys)
        self._keys = {key.digest[:8]: key for key in known}


def _known(key: Key) -> KnownKey:
    expires = key.expires.timestamp() if key.expires else float("inf")
    scopes = SCOPES if "admin" in key.scopes else key.scopes
    return KnownKey(Identity(key.name, frozenset(scopes)), bytes.fromhex(key.sha256), expires, key.rate)
