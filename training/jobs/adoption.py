"""The process of a job whose worker is gone."""

import errno
import fcntl
from pathlib import Path

from training.jobs.identity import Process, arguments, find
from training.jobs.job import Job


def find_process(job: Job, run: Path) -> Process | None:
    """The process that trains this job here, if there is one, whether or not its worker came to write it down.

    A process is known by its number, its start and its command line: the job may have been in another place.
    """
    if job.pid is not None:
        process = Process(job.pid, job.pid_started or "")
        if _trains(process, run):
            return process
    return _holder(run)


def _holder(run: Path) -> Process | None:
    """Who holds the run folder, if that is a process of a worker: see `training.runs.hold`."""
    try:
        with (run / ".lock").open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _of_worker(file.read(), run)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ENOLCK:
            raise
    return None


def _of_worker(pid: str, run: Path) -> Process | None:
    process = find(int(pid)) if pid.isdigit() else None
    return process if process is not None and _trains(process, run) else None


def _trains(process: Process, run: Path) -> bool:
    words = arguments(process)
    return "--attempt" in words and str(run) in words
