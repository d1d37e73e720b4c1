"""What `stn worker` shares with others, where jobs lie on shared storage."""

import dataclasses

from service.models.shelf import Shelf
from service.settings import Settings
from training.invariance_config import InvarianceJob
from training.jobs.job import Job
from training.jobs.sharing import Placed, Shared
from training.runs import work_of
from training.storage.cache import Cache
from training.storage.datasets import keep
from training.storage.places import open_storage


def shared_jobs(settings: Settings, shelf: Shelf) -> Shared | None:
    """None where nothing is shared."""
    if not settings.storage:
        return None
    storage, cache = open_storage(settings.storage), Cache(settings.fetched, settings.max_cache_bytes)

    def place(job: Job) -> Placed:
        work = work_of(job.config)
        if isinstance(work, InvarianceJob):
            work = dataclasses.replace(work, file=str(shelf.path(work.name, work.version).absolute()))
        if job.dataset is None:
            return Placed(work, None)
        here = keep(storage, cache, job.dataset)
        return Placed(here.given_to(work), here.kept)

    return Shared(storage, place if settings.executor == "local" else None)
