"""`stn worker`: the process that runs training jobs."""

import sys
from pathlib import Path

from service.models.folder import register_once
from service.observing import logs
from service.settings import Settings, taken_over
from training.jobs.store import Job, JobStore, StoreUnavailable
from training.jobs.worker import Worker


def worker(settings: Settings) -> int:
    """Run the jobs of the database until a signal ends it; what it trains is paused then, and goes on at the next worker.

    The exit code: 0 after a signal.
    """
    logs.set_up(settings.log_format, settings.log_requests)

    def registered(job: Job, run: Path) -> int:
        """The version that a finished run's model has become."""
        return register_once(settings.models, job.name, run / "model.safetensors")

    return Worker(
        JobStore(settings.job_database),
        settings.home,
        slots=settings.slots,
        retries=settings.retries,
        grace=settings.stop_seconds,
        register=registered,
    ).run()


def main(arguments: list[str]) -> int:
    """The same, started by `stn up`; the argument is its settings as JSON."""
    try:
        return worker(taken_over(arguments[0]))
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except StoreUnavailable as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
