"""Connections to PostgreSQL that do not wait for ever for a server that is frozen or cut off and says nothing."""

import time
from collections.abc import Callable, Generator
from typing import Any

import psycopg


def connect(seconds: float) -> Callable[..., Any]:
    """What opens connections that give up on an answer after so many seconds; takes what `psycopg.connect` takes.

    The server's own limits, such as statement_timeout, need a server that lives, and the kernel's a network that is gone.
    """

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: Generator[Any, Any, Any], *_: Any, **__: Any) -> Any:
            """Every answer is waited for here; psycopg wakes the generator ten times a second."""
            return super().wait(self._within(gen))

        def _within(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            end = time.monotonic() + seconds
            try:
                waits_for = next(gen)
                while True:
                    ready = yield waits_for
                    if not ready and time.monotonic() > end:
                        self.pgconn.finish()  # it is in no known state
                        raise psycopg.OperationalError(f"no answer in {seconds:g} seconds")
                    waits_for = gen.send(ready)
            except StopIteration as done:
                return done.value

    return Connection.connect
