"""Jobs that go on."""

from typing import TYPE_CHECKING

from service.datasets.store import open_datasets
from service.problems import Problem
from service.settings import Settings
from training.jobs import states
from training.jobs.job import Job

if TYPE_CHECKING:
    from training.jobs.store import JobStore


def resume(store: "JobStore", job_id: str, settings: Settings) -> Job:
    """The job, queued again; its data set is not deleted meanwhile.

    Raises:
        Problem: 409 where its data set has been deleted.
    """
    job = store.get(job_id)
    if job.dataset is None:
        return store.resume(job_id)
    with open_datasets(settings).hold(job.dataset) as found:
        if found is None:
            states.resume(job.standing)  # where it may not go on anyhow, that is the reason
            raise Problem(409, f"resume needs the data set {job.dataset}, which has been deleted", state=job.state)
        return store.resume(job_id)
