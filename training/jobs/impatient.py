"""Connections to PostgreSQL that do not wait for ever for a server that is frozen or cut off and says nothing."""

import selectors
import time
from collections.abc import Callable, Generator
from typing import Any

import psycopg
from psycopg.waiting import Ready, Wait

LOOK = 0.1
"""Seconds between looks at the time."""


def connect(seconds: float) -> Callable[..., Any]:
    """What opens connections that give up on an answer after so many seconds; takes what `psycopg.connect` takes.

    The server's own limits, such as statement_timeout, need a server that lives, and the kernel's a network that is gone.
    """

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: Generator[Wait, Ready, Any], *_: Any, **__: Any) -> Any:
            """Psycopg waits for every answer here: for what the generator yields, which takes what is ready by then."""
            end = time.monotonic() + seconds
            with selectors.PollSelector() as selector:
                try:
                    key = selector.register(self.pgconn.socket, next(gen))
                    while True:
                        found = selector.select(LOOK)
                        if not found and time.monotonic() > end:
                            self.pgconn.finish()  # it is in no known state
                            raise psycopg.OperationalError(f"no answer in {seconds:g} seconds")
                        wanted = gen.send(Ready(found[0][1] if found else 0))
                        if wanted != key.events and self.pgconn.status == psycopg.pq.ConnStatus.OK:
                            key = selector.modify(self.pgconn.socket, wanted)
                except StopIteration as done:
                    return done.value

    return Connection.connect
