"""A job as the service shows it: its row, with paths of what there is about it."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.jobs import schemas
from training.jobs.job import Event, Job

if TYPE_CHECKING:
    from training.jobs.store import JobStore


def shown_job(store: "JobStore", job: Job, runs: Path, root: str) -> schemas.Job:
    """The job, for an application that is mounted at this root path."""
    return shown_jobs(store, [job], runs, root)[0]


def shown_jobs(store: "JobStore", jobs: Sequence[Job], runs: Path, root: str) -> list[schemas.Job]:
    """The same for many."""
    waiting = store.waiting(jobs)
    return [_shown(job, waiting.get(job.id), runs, root) for job in jobs]


def _shown(job: Job, waiting: str | None, runs: Path, root: str) -> schemas.Job:
    here = f"{root}/v1/jobs/{job.id}"
    places = (runs, runs.parent / "fetched" / "runs")
    has_report = any((place / job.id / "report" / "index.html").is_file() for place in places)
    links = schemas.JobLinks(
        self=here,
        **{name: f"{here}/{name}" for name in ("events", "metrics", "logs", "checkpoints", "artifacts")},
        report=f"{here}/artifacts/report/index.html" if has_report else None,
    )
    model = None
    if job.model_version is not None:
        path = f"{root}/v1/models/{job.name}/versions/{job.model_version}"
        model = schemas.JobModel(name=job.name, version=job.model_version, link=path)
    own = {
        name: getattr(job, name) for name in schemas.Job.model_fields.keys() - {"waiting", "model", "config", "links"}
    }
    return schemas.Job(**own, waiting=waiting, model=model, config=shown_config(job), links=links)


def shown_config(job: Job) -> dict[str, Any]:
    """The job's config as a caller may post it: with the name of its data set, without folders of this machine."""
    config = copy.deepcopy(job.config)
    for place in ("file", "root"):
        config.pop(place, None)
    data = config.get("data", {})
    data.pop("root", None)
    data.pop("cache", None)
    if job.dataset is not None:
        data["name"] = job.dataset
    return config


def shown_event(event: Event) -> schemas.JobEvent:
    return schemas.JobEvent(id=event.id, time=event.time, kind=event.kind, data=event.data)
