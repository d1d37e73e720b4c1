"""A real server in a thread of this process, for clients that speak HTTP themselves."""

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from service.access.connection import Connection
from service.app import create_app
from service.settings import Settings


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Its host and port, until the end of the block."""
    config = uvicorn.Config(create_app(settings), port=0, log_config=None, access_log=False, http=Connection, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the server ended as it started"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
