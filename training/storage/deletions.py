"""What was published of jobs that are being deleted.

deleting/ID   all of `runs/ID/` is to go, once the job's row is gone
"""

from training.storage.places import Storage
from training.storage.runs import forget

_PREFIX = "deleting/"


def begin(storage: Storage, job_id: str) -> None:
    """Remember that all that was published of a job is to be deleted, once its row is."""
    storage.write(f"{_PREFIX}{job_id}", b"")


def begun(storage: Storage) -> list[str]:
    """The jobs of which that is remembered."""
    return [key.removeprefix(_PREFIX) for key in storage.list(_PREFIX)]


def end(storage: Storage, job_id: str) -> None:
    """Delete it."""
    forget(storage, job_id)
    storage.delete(f"{_PREFIX}{job_id}")
