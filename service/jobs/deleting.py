"""Jobs that are deleted, with what was published of them on shared storage."""

import contextlib
from typing import TYPE_CHECKING

from service.settings import Settings
from training.jobs import states
from training.jobs.deletion import delete_row
from training.jobs.job import JobNotFound
from training.storage import deletions
from training.storage.places import StorageUnavailable, open_storage

if TYPE_CHECKING:
    from training.jobs.store import JobStore


def delete(store: "JobStore", job_id: str, settings: Settings) -> None:
    """Delete a job's row and events, and what was published of it; its run folder is then to be removed.

    What was published goes last, since until the row is gone somebody may resume the job. Where that is cut short, or the
    storage falls silent, `sweep` does it.

    Raises:
        JobNotFound: there is none.
        Forbidden: it has not ended.
        StorageUnavailable: nothing is deleted.
    """
    if not settings.storage:
        delete_row(store, settings.runs, job_id)
        return
    states.delete(store.get(job_id).standing)
    storage = open_storage(settings.storage)
    deletions.begin(storage, job_id)
    delete_row(store, settings.runs, job_id)
    with contextlib.suppress(StorageUnavailable):
        deletions.end(storage, job_id)


def sweep(store: "JobStore", settings: Settings) -> None:
    """Delete what was published of jobs whose deletion was cut short."""
    storage = open_storage(settings.storage)
    for job_id in deletions.begun(storage):
        try:
            store.get(job_id)
        except JobNotFound:
            deletions.end(storage, job_id)
