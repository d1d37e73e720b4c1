"""Jobs in the states that tests begin with."""

from typing import Any

from training.jobs.job import Job
from training.jobs.store import JobStore

WORKER = "worker-1"
PLACE = "boot:1"


def config(devices: int = 1, **values: Any) -> dict[str, Any]:
    return {"name": "digits", "seed": 0, "trainer": {"devices": devices}, **values}


def claimed(store: JobStore, worker: str = WORKER) -> Job:
    store.create(config())
    job = store.claim(worker, PLACE, 1)
    assert job is not None
    return job


def running(store: JobStore) -> Job:
    job = store.begun(claimed(store), "4711.12345", ["GPU-1"])
    return store.record(job, [], state="running")


def again(store: JobStore) -> Job:
    """Claim what was queued again."""
    job = store.claim(WORKER, PLACE, 1)
    assert job is not None
    return job


def told(store: JobStore, job: Job) -> list[str]:
    """The states that the job's events tell of."""
    return [event.data["state"] for event in store.events(job.id) if event.kind == "state"]
