"""What the routes of jobs have in common."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import Header, Path, Request

from service.access.key_ring import ANONYMOUS, Identity
from service.jobs import schemas
from service.jobs.database import JobDatabase
from service.jobs.feed import Feed
from service.jobs.schemas import EXAMPLE_ID, ID_PATTERN
from service.jobs.shown import shown_job
from service.jobs.views import view
from service.jobs.wanted import read_body
from service.predicting.options import weights_of
from service.problems import Problem
from service.settings import Settings
from training.jobs.job import Job
from training.storage.places import StorageUnavailable

if TYPE_CHECKING:
    from training.jobs.store import JobStore

JobId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the job.", examples=[EXAMPLE_ID])]


def key_header(example: str) -> Any:
    """The header `Idempotency-Key`, with an example that no other route has, since a key is of one body."""
    description = (
        "1 to 255 visible ASCII characters: the same key with the same body is answered with the job that it made first, "
        "whatever became of the answer then."
    )
    return Header(alias="Idempotency-Key", pattern=r"^[!-~]{1,255}$", description=description, examples=[example])


def last_header(digits: int, example: str) -> Any:
    """The header `Last-Event-ID`, a number of so many digits at most."""
    description = "The same as `after`, and stronger than the address: browsers send it where they connect again."
    return Header(alias="Last-Event-ID", pattern=rf"^[0-9]{{1,{digits}}}$", description=description, examples=[example])


UNKNOWN = "There is no such job."
WRONG = "A parameter is not as described."
AWAY = (
    "The database of jobs does not answer at present; try again after `Retry-After` seconds. Without that header only "
    "an operator can mend it, and the reason says how."
)


def database_of(request: Request) -> JobDatabase:
    database: JobDatabase = request.app.state.jobs
    return database


def feed_of(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


def owner_of(request: Request) -> str | None:
    """Name of the key that the request came with."""
    identity: Identity = request.state.identity
    return None if identity is ANONYMOUS else identity.name


def root_of(request: Request) -> str:
    """The path under which the application is mounted."""
    root: str = request.scope.get("root_path", "")
    return root


def runs_of(request: Request) -> FilePath:
    settings: Settings = request.app.state.settings
    return settings.runs


async def posted(request: Request) -> dict[str, Any]:
    """The object in the body.

    Raises:
        Problem: 400, 413, 415 or 422 where there is none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, f"Content-Type must be application/json, got {kind[:100] or 'none'!r}")
    return read_body(await request.body())


async def answered(request: Request, function: "Callable[[JobStore], Job]") -> schemas.Job:
    """The job that the function gives, as it is shown; all of it beside the event loop."""
    settings: Settings = request.app.state.settings

    def show(store: "JobStore") -> schemas.Job:
        job = function(store)
        if settings.storage and job.ended:
            with contextlib.suppress(StorageUnavailable):  # then nothing is said of its report
                view(settings, job)
        return shown_job(store, job, settings.runs, root_of(request))

    return await database_of(request).ask(show)


async def run_of(request: Request, job_id: str) -> FilePath:
    """The run folder of a job that there is; the folder need not be there.

    Raises:
        Problem: 404 where there is no such job.
    """
    job = await database_of(request).ask(lambda store: store.get(job_id))
    return await to_thread.run_sync(view, request.app.state.settings, job)


def preferred(accept: str, kinds: Sequence[str]) -> str:
    """The kind of answer that a client prefers, by the weights (q) of its Accept header; the first where they tie."""
    weights = weights_of(accept.encode("latin-1", errors="replace"))

    def weight(kind: str) -> float:
        general = f"{kind.partition('/')[0]}/*"
        return weights.get(kind, weights.get(general, weights.get("*/*", 0.0)))

    return max(kinds, key=weight)  # of equal ones the first
