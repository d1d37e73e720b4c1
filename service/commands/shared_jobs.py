"""What `stn worker` brings to its machine, where jobs lie on shared storage."""

import dataclasses

from service.datasets.shared import SharedDatasets
from service.models.shelf import Shelf
from service.settings import Settings
from training.invariance_config import InvarianceJob
from training.jobs.job import Job
from training.jobs.sharing import Placed, Shared
from training.runs import work_of
from training.storage.places import open_storage


def shared_jobs(settings: Settings, shelf: Shelf) -> Shared | None:
    """None where nothing is shared."""
    if not settings.storage:
        return None
    datasets = SharedDatasets(settings)

    def place(job: Job) -> Placed:
        work = work_of(job.config)
        if isinstance(work, InvarianceJob):
            work = dataclasses.replace(work, file=str(shelf.path(work.name, work.version).absolute()))
        if job.dataset is None:
            return Placed(work, None)
        kept, found = datasets.keep(job.dataset)
        root = str(found.folder.absolute())
        if isinstance(work, InvarianceJob):
            return Placed(dataclasses.replace(work, data={**work.data, "name": found.kind, "root": root}), kept)
        data = dataclasses.replace(work.data, name=found.kind, root=root)
        return Placed(dataclasses.replace(work, data=data), kept)

    return Shared(open_storage(settings.storage), place)
