"""The process of a job whose worker is gone."""

import errno
import fcntl
from pathlib import Path

from training.jobs.identity import Process, arguments, find, named
from training.jobs.job import Job


def find_process(job: Job, run: Path) -> Process | None:
    """The process that trains this job here, if there is one, whether or not its worker came to write it down.

    A process is known by its number, its start and its command line: the job may have been in another place.
    """
    process = named(job.process or "")
    if process is not None and _trains(process, run):
        return process
    pid = holder(run) or ""
    process = find(int(pid)) if pid.isdigit() else None
    return process if process is not None and _trains(process, run) else None


def holder(run: Path) -> str | None:
    """The number, on its own machine, of the process that holds the run folder; None where none does, or where the file
    system knows no locks: see `training.runs.hold`."""
    try:
        with (run / ".lock").open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise
    return None


def _trains(process: Process, run: Path) -> bool:
    words = arguments(process)
    return "--attempt" in words and str(run) in words
