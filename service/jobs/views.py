"""The run folder of a job, to look at: that of this machine or, where another one runs the job, a copy of what it has
published."""

import time
from pathlib import Path

from service.jobs.checkpoints import list_checkpoints, published_checkpoints
from service.jobs.schemas import Checkpoint
from service.settings import Settings
from training.jobs.folders import run_folder
from training.jobs.job import Job
from training.storage.places import StorageUnavailable, open_storage
from training.storage.runs import content, look

_LOOKED = ".looked"
_FRESH = 1.0
"""Seconds for which a copy of a run that goes on is not looked at again."""


def view(settings: Settings, job: Job) -> Path:
    """The folder, which need not be there; of a copy, checkpoints are not there, see `checkpoints_of`.

    Raises:
        StorageUnavailable: it lies elsewhere, and nothing of it was ever copied.
    """
    here = run_folder(settings.runs, job.id)
    if not settings.storage or content(here) >= job.attempt:
        return here
    copy = settings.fetched / "runs" / job.id
    if _is_due(copy / _LOOKED, job):
        try:
            look(open_storage(settings.storage), job.id, copy)
            copy.mkdir(parents=True, exist_ok=True)
            (copy / _LOOKED).write_text(_final(job))
        except OSError as error:  # the storage is silent, or the disk of this machine full
            if not copy.is_dir():
                raise StorageUnavailable(str(error)) from error
    return copy


def is_all_here(settings: Settings, job: Job) -> bool:
    """Whether the folder that `view` gives has all that a job has written which has ended."""
    if not settings.storage or content(run_folder(settings.runs, job.id)) >= job.attempt:
        return True
    return job.ended and not _is_due(settings.fetched / "runs" / job.id / _LOOKED, job)


def checkpoints_of(settings: Settings, job: Job) -> list[Checkpoint]:
    """The checkpoints of a job, wherever its run folder is.

    Raises:
        StorageUnavailable: it lies elsewhere.
    """
    here = run_folder(settings.runs, job.id)
    is_here = not settings.storage or content(here) >= job.attempt
    return list_checkpoints(here) if is_here else published_checkpoints(settings.storage, job.id)


def _is_due(looked: Path, job: Job) -> bool:
    try:
        seen, age = looked.read_text(), time.time() - looked.stat().st_mtime
    except FileNotFoundError:
        return True
    return seen != _final(job) if job.ended else age > _FRESH


def _final(job: Job) -> str:
    """What is remembered of a look after which nothing more comes; something else before."""
    return str(job.attempt) if job.ended else ""
