"""`/v1/jobs`: create and list training jobs, look at one, and what can be asked of it."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from service.jobs import schemas
from service.jobs.deleting import delete
from service.jobs.parameters import (
    AWAY,
    UNKNOWN,
    WRONG,
    JobId,
    answered,
    database_of,
    key_header,
    owner_of,
    posted,
    root_of,
    runs_of,
)
from service.jobs.resuming import resume
from service.jobs.shown import shown_jobs
from service.jobs.wanted import resolved
from service.openapi.jobs import CONFIG, LOCATION
from service.openapi.problems import document_problems
from service.settings import Settings
from training.jobs.folders import remove_run
from training.jobs.job import Job
from training.jobs.states import State

if TYPE_CHECKING:
    from training.jobs.store import JobStore

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_FORBIDDEN = "The job's state, which the problem has as `state`, forbids it."
_PROBLEMS = document_problems({404: UNKNOWN, 409: _FORBIDDEN, 422: WRONG, 503: AWAY})


@router.post(
    "",
    status_code=202,
    responses={
        202: {"description": "The job waits for a worker, or it had been made before.", "headers": LOCATION},
        **document_problems(
            {
                400: "The body is not JSON.",
                413: "The body is too large.",
                415: "The body is not declared as JSON.",
                422: "A field of the config is unknown or wrong, the data set does not exist, or the idempotency key is no "
                "key, or came before with another body.",
                503: AWAY,
            }
        ),
    },
    openapi_extra={"requestBody": CONFIG},
)
async def post_job(
    request: Request,
    response: Response,
    key: Annotated[str | None, key_header("5d0f2a7c-4f5e-4f6b-9c1a-0d8f7e6b5a43")] = None,
) -> schemas.Job:
    """Train a model: the body is the training config, or the name of a preset and what differs from it.

    Data sets are named: those that everybody knows, or the service's own (`/v1/datasets`). The best weights become the next
    version of the model that the config names.
    """
    values = await posted(request)
    settings: Settings = request.app.state.settings
    owner = owner_of(request)

    def create(store: "JobStore") -> Job:
        made = None if key is None else store.known(owner, key, values)
        if made is not None:  # also where its data set is gone, or a preset has changed
            return made
        with resolved(values, settings) as wanted:
            return store.create(wanted.config, owner=owner, key=key, dataset=wanted.dataset, posted=values)[0]

    job = await answered(request, create)
    response.headers["Location"] = job.links.self
    return job


@router.get("", responses=document_problems({422: WRONG, 503: AWAY}))
async def list_jobs(
    request: Request,
    after: Annotated[
        str | None,
        Query(
            pattern=schemas.ID_PATTERN,
            description="Id of a job: only those that were created before it, as `next` of the page before says.",
            examples=[schemas.EXAMPLE_ID],
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most jobs in the answer.", examples=[20])] = 50,
    status: Annotated[
        list[State] | None,
        Query(
            max_length=20,
            description="Only jobs in this state; it may be given several times.",
            examples=[["queued", "running"]],
        ),
    ] = None,
) -> schemas.Jobs:
    """Training jobs, the newest first."""
    show = partial(shown_jobs, runs=runs_of(request), root=root_of(request))
    found = await database_of(request).ask(lambda store: show(store, store.list(after, limit + 1, status or ())))
    return schemas.Jobs(jobs=found[:limit], next=found[limit - 1].id if len(found) > limit else None)


@router.post("/{id}/cancel", status_code=202, responses=_PROBLEMS)
async def cancel_job(request: Request, id: JobId) -> schemas.Job:
    """End a job and discard what it has learnt; again it changes nothing."""
    return await answered(request, lambda store: store.cancel(id))


@router.post("/{id}/stop", status_code=202, responses=_PROBLEMS)
async def stop_job(request: Request, id: JobId) -> schemas.Job:
    """End a job after the step it is at; its best weights until then become a version of its model.

    A job that was interrupted, and waits to go on, does so with the next worker. One that has not begun is to be cancelled.
    """
    return await answered(request, lambda store: store.stop(id))


@router.post("/{id}/resume", status_code=202, responses=_PROBLEMS)
async def resume_job(request: Request, id: JobId) -> schemas.Job:
    """Let a job go on from its last checkpoint that failed, was cancelled or was stopped, and whose data set is there."""
    settings: Settings = request.app.state.settings
    return await answered(request, lambda store: resume(store, id, settings))


@router.get("/{id}", responses=document_problems({404: UNKNOWN, 422: WRONG, 503: AWAY}))
async def get_job(request: Request, id: JobId) -> schemas.Job:
    """One job: its state and why it is in it, how far it is, and what became of it."""
    return await answered(request, lambda store: store.get(id))


@router.delete("/{id}", status_code=204, response_model=None, responses=_PROBLEMS)
async def delete_job(request: Request, id: JobId) -> Response:
    """Delete a job that has ended, with its events and its run folder; the version of the model that it made stays."""
    runs, settings = runs_of(request), request.app.state.settings

    await database_of(request).ask(lambda store: delete(store, id, settings))
    await to_thread.run_sync(remove_run, runs, id)
    return Response(status_code=204)
