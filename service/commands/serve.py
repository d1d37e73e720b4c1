"""`stn serve` and `stn up`: the service in this process."""

import logging
import signal
from types import FrameType

import uvicorn

from service.app import create_app
from service.connection import Connection
from service.model_folder import register_shipped
from service.reach import check_reach
from service.settings import Settings

log = logging.getLogger(__name__)


def up(settings: Settings) -> int:
    """Serve; where no model has been registered yet, the one that comes with the package."""
    check_reach(settings, settings.keys_path.exists())
    register_shipped(settings.models)
    return serve(settings)


def serve(settings: Settings) -> int:
    """Serve the models of the home folder until a signal ends it; accepted requests are answered first.

    The exit code: 0 after a signal, 3 where the service could not start.
    """
    # uvicorn repeats the signal that ended it, once it is done; it has then been answered and must not kill.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _already_answered)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.host,
            port=settings.port,
            timeout_graceful_shutdown=settings.drain_seconds,
            log_config=None,
            http=Connection,
            ws="none",
            server_header=False,
            access_log=False,
        )
    )
    server.run()
    return 0 if server.started else 3


def _already_answered(number: int, frame: FrameType | None) -> None:
    log.debug("signal %d, frame %s", number, frame)
