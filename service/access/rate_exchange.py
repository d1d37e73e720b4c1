"""Rates that hold across replicas: each tells the others, over PostgreSQL, what it has let in.

A request never waits for that. A client whose requests reach several replicas in the same moment may be let in by each as
by the only one; a tenth of a second later all of them have counted all of it, and it waits the longer.
"""

import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service.access.rate_limit import RateLimit, client_id

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

PERIOD = 0.1
"""Seconds between two messages."""
_CHANNEL = "stn_rates"
_CLIENTS = 150
"""Of one message, which PostgreSQL allows 8,000 bytes."""
_PAUSE = 1.0
"""Seconds between two attempts to connect."""
_PATIENCE = 5
"""Seconds after which a server that does not answer is given up."""


class RateExchange:
    """Messages to and from those that share the rates; where their server is away, each counts alone until it is back."""

    def __init__(self, rates: RateLimit, database: str, folder: Path | None = None) -> None:
        """
        Args:
            rates: Of this process, or shared by processes of this machine.
            database: postgresql+psycopg://USER@HOST/NAME. Connections must be kept (no pooler of transactions).
            folder: Of those processes, of which one listens for all.
        """
        self._rates = rates
        self._address = database.replace("+psycopg", "", 1)
        self._folder = folder
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rates", daemon=True)
        self._told = False

    def start(self) -> None:
        """Begin, in a thread."""
        self._rates.begin_to_tell()
        self._thread.start()

    def close(self) -> None:
        """Tell what was counted last, and end."""
        self._end.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            import psycopg
        except ImportError as error:
            log.error("rates are counted by each replica alone: pip install 'stn[postgresql]' (%s)", error)
            return
        with _Turn(self._folder) as turn:
            while not self._end.is_set():
                try:
                    with psycopg.connect(
                        self._address, autocommit=True, connect_timeout=_PATIENCE, tcp_user_timeout=1000 * _PATIENCE
                    ) as connection:
                        self._exchange(connection, turn)
                except psycopg.Error as error:
                    if not self._told:
                        log.warning(
                            "rates are counted by each replica alone: %s", str(error).strip().partition("\n")[0]
                        )
                    self._told = True
                    self._rates.counted()  # it would grow, and be told when it no longer matters
                    self._end.wait(_PAUSE)

    def _exchange(self, connection: "psycopg.Connection", turn: "_Turn") -> None:
        listens = False
        if self._told:
            log.info("rates are counted together with other replicas again")
        self._told = False
        while not self._end.is_set():
            if not listens and turn.is_mine():
                connection.execute(f"LISTEN {_CHANNEL}")
                listens = True
            self._tell(connection)
            for heard in connection.notifies(timeout=PERIOD):
                self._hear(heard.payload)
        self._tell(connection)

    def _tell(self, connection: "psycopg.Connection") -> None:
        for message in self._messages():
            connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, message))

    def _messages(self) -> Iterator[str]:
        counted = list(self._rates.counted().items())
        for begin in range(0, len(counted), _CLIENTS):
            seconds = {client_id(client).hex(): round(spent, 6) for client, spent in counted[begin : begin + _CLIENTS]}
            yield json.dumps({"from": self._rates.name, "seconds": seconds}, separators=(",", ":"))

    def _hear(self, message: str) -> None:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):  # somebody else's
            heard = json.loads(message)
            if heard["from"] != self._rates.name:
                for client, seconds in heard["seconds"].items():
                    self._rates.count_of_others(bytes.fromhex(client), max(0.0, float(seconds)))


class _Turn:
    """Whose turn it is to listen, of the processes that share a table: the one with the lock, until it ends."""

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else os.open(folder / "rates.listener", os.O_CREAT | os.O_RDWR, 0o600)

    def __enter__(self) -> "_Turn":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def is_mine(self) -> bool:
        if self._file is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True
