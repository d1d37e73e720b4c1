"""`stn serve` and `stn up`: the service in this process, or in several."""

import contextlib

from service.access.auth import Gate
from service.models.shelf import open_shelf
from service.observing import logs
from service.server import serve_here
from service.settings import Settings
from service.workers import supervise
from training.storage.places import StorageUnavailable


def up(settings: Settings) -> int:
    """Serve, and run training jobs; where there is no model yet, the one that comes with the package is served."""
    logs.set_up(settings.log_format, settings.log_requests)
    Gate(settings)
    with contextlib.suppress(StorageUnavailable):  # then models are waited for
        open_shelf(settings).register_shipped()
    return supervise(settings, with_jobs=settings.run_jobs)


def serve(settings: Settings) -> int:
    """Serve the models of the home folder until a signal ends it; accepted requests are answered first.

    The exit code: 0 after a signal, 3 where the service could not start.
    """
    logs.set_up(settings.log_format, settings.log_requests)
    Gate(settings)  # a damaged file of keys, or a service that others would reach without: told once, here
    return supervise(settings) if settings.workers > 1 else serve_here(settings)
