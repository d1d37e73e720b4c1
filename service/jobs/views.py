"""The run folder of a job, to look at: that of this machine or, where another one runs the job, a copy of what it has
published."""

import time
from pathlib import Path

from service.settings import Settings
from training.jobs import states
from training.jobs.folders import run_folder
from training.jobs.job import Job
from training.storage.places import StorageUnavailable, open_storage
from training.storage.runs import content, forget, look

_FRESH = 1.0
"""Seconds for which a copy of a run that goes on is not looked at again."""


def view(settings: Settings, job: Job) -> Path:
    """The folder, which need not be there; of a copy, checkpoints are not there.

    Raises:
        StorageUnavailable: it lies elsewhere, and nothing of it was ever copied.
    """
    here = run_folder(settings.runs, job.id)
    if not settings.storage or content(here) >= job.attempt:
        return here
    copy = settings.fetched / "runs" / job.id
    looked = copy / ".looked"
    if job.ended or not looked.is_file() or time.time() - looked.stat().st_mtime > _FRESH:
        try:
            look(open_storage(settings.storage), job.id, copy)
        except StorageUnavailable:
            if not copy.is_dir():
                raise
        copy.mkdir(parents=True, exist_ok=True)
        looked.touch()
    return copy


def forget_shared(settings: Settings, job: Job) -> None:
    """Delete what was published of a job that has ended, before the job itself is deleted.

    Raises:
        Forbidden: it has not ended.
    """
    if settings.storage:
        states.delete(job.standing)
        forget(open_storage(settings.storage), job.id)
