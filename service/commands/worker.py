"""`stn worker`: the process that runs training jobs."""

import logging
import sys
import threading
from pathlib import Path

from service.commands.shared_jobs import shared_jobs
from service.jobs.deleting import sweep
from service.models.shelf import open_shelf
from service.observing import logs
from service.settings import Settings, taken_over
from training.jobs.executor import Executor
from training.jobs.job import NewerDatabase
from training.jobs.local import this_machine
from training.jobs.moments import Pulse, ended_by_signals
from training.jobs.store import Job, JobStore, StoreUnavailable
from training.jobs.worker import Worker
from training.storage.places import StorageUnavailable

log = logging.getLogger(__name__)

_PAUSE = 1.0
"""Seconds between two attempts to open the database."""


def worker(settings: Settings) -> int:
    """Run the jobs of the database until a signal ends it; what it trains is paused then, and goes on at the next worker.

    Where the database does not answer yet, it is waited for. The exit code: 0 after a signal, 1 where a newer program has
    changed the database meanwhile: then what is trained goes on, for that one's worker to adopt.
    """
    logs.set_up(settings.log_format, settings.log_requests)
    shelf = open_shelf(settings)

    def registered(job: Job, run: Path) -> int:
        """The version that a finished run's model has become."""
        return shelf.register_once(job.name, run / "model.safetensors")

    pulse = Pulse(settings.pulse)
    store = _opened(settings.job_database, pulse)
    if store is None:
        return 0
    if settings.storage:
        threading.Thread(target=_sweep, args=(store, settings), daemon=True).start()
    try:
        return Worker(
            store,
            settings.home,
            _executor(settings),
            retries=settings.retries,
            grace=settings.stop_seconds,
            stall=settings.stall_seconds,
            register=registered,
            shared=shared_jobs(settings, shelf),
            pulse=pulse,
        ).run()
    except NewerDatabase as error:
        log.error("%s; what is trained goes on", error)
        return 1


def _sweep(store: JobStore, settings: Settings) -> None:
    try:
        sweep(store, settings)
    except (StoreUnavailable, StorageUnavailable) as error:  # then the next worker does it
        log.warning("deletions that were cut short are not looked for: %s", error)


def _executor(settings: Settings) -> Executor:
    if settings.executor == "local":
        return this_machine(settings.home, settings.slots, gives_way=settings.give_way)
    from training.hosted import Far
    from training.jobs.ray import Ray

    return Ray(
        settings.ray_address,
        slots=settings.ray_slots,
        cpus=settings.ray_cpus,
        grace=settings.stop_seconds,
        far=Far(settings.storage, settings.ray_home, settings.max_cache_bytes) if settings.storage else None,
    )


def _opened(url: str, pulse: Pulse) -> JobStore | None:
    """The jobs, once their database answers; None where a signal comes first."""
    end, is_told = threading.Event(), False
    with ended_by_signals(end):
        while not end.is_set():
            pulse.beat()
            try:
                return JobStore(url)
            except StoreUnavailable as error:
                if not is_told:
                    log.warning("%s; the worker waits for it", error)
                is_told = True
                end.wait(_PAUSE)
    return None


def main(arguments: list[str]) -> int:
    """The same, started by `stn up`; the argument is its settings as JSON."""
    try:
        return worker(taken_over(arguments[0]))
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
