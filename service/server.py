"""One process that answers requests, until a signal ends it in good order."""

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.access.connection import Connection
from service.app import create_app
from service.settings import Settings

log = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that wait to be accepted."""
LAST_SECONDS = 0.5
"""For so long a client may send one more request on a connection that it has, once the service ends."""


def serve_here(
    settings: Settings,
    bound: Sequence[socket.socket] | None = None,
    wait_for_models: bool = False,
    is_ready: Callable[[], None] | None = None,
) -> int:
    """Serve in this process, on sockets that others bound where they are given.

    The exit code: 0 after a signal, 3 where the service could not start.

    Args:
        settings: what an operator can set.
        bound: they need not listen yet.
        wait_for_models: accept no connection before the models are loaded; otherwise answer 503 until then.
        is_ready: called when they are loaded.
    """
    # uvicorn repeats the signal that ended it, once it is done; it has then been answered and must not kill.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _already_answered)
    app = create_app(settings, wait_for_models)
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            backlog=BACKLOG,
            timeout_graceful_shutdown=settings.drain_seconds,
            log_config=None,
            http=Connection,
            ws="none",
            server_header=False,
            access_log=False,
        ),
        app,
        settings.drain_delay,
        is_ready,
    )
    server.run(list(bound) if bound else None)
    return 0 if server.started else 3


class _Server(uvicorn.Server):
    """uvicorn's server, of which the probe says that it is not ready from the moment it is asked to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, delay: float, is_ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._app, self._delay, self._is_ready = app, delay, is_ready
        self._settling: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._settling = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        """What is there once the models are loaded is not looked through for garbage any more.

        Every 8,000 requests or so they would wait 40 ms for it.
        """
        await self._app.state.models.wait_until_ready()
        if self._is_ready is not None:
            self._is_ready()
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no connections, then no more requests on those there are.

        Each is told so with its next answer. One closed at once might be one on which a request is just under way.
        """
        for server in self.servers:
            server.close()
        for bound in sockets or []:
            bound.close()
        for connection in list(self.server_state.connections):
            connection.let_go()  # type: ignore[union-attr]
        until = time.monotonic() + LAST_SECONDS
        while self.server_state.connections and not self.force_exit and time.monotonic() < until:
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not ready at once; after the delay, in which whoever sends requests finds that out, no more are accepted."""
        asked_before, self._app.state.draining = self._app.state.draining, True
        if asked_before or not self._delay:
            self._end(sig, frame)
            return
        log.info("ending in %g s", self._delay)
        asyncio.get_running_loop().call_later(self._delay, self._end, sig, frame)

    def _end(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests; streams, which would not end for hours, close, and their clients connect again."""
        asyncio.get_running_loop().call_soon_threadsafe(self._app.state.feed.end)
        asyncio.get_running_loop().call_soon_threadsafe(self._app.state.held_back.end)
        super().handle_exit(sig, frame)


def _already_answered(number: int, frame: FrameType | None) -> None:
    log.debug("signal %d, frame %s", number, frame)
