"""What the routes of jobs have in common."""

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Path, Request

from service.access.key_ring import ANONYMOUS, Identity
from service.jobs.database import JobDatabase
from service.jobs.feed import Feed
from service.jobs.schemas import EXAMPLE_ID, ID_PATTERN
from service.predicting.options import weights_of
from service.settings import Settings
from training.jobs.folders import run_folder

JobId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the job.", examples=[EXAMPLE_ID])]

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


async def run_of(request: Request, job_id: str) -> FilePath:
    """The run folder of a job that there is; the folder need not be there.

    Raises:
        Problem: 404 where there is no such job.
    """
    await database_of(request).ask(lambda store: store.get(job_id))
    return run_folder(runs_of(request), job_id)


def preferred(accept: str, kinds: Sequence[str]) -> str:
    """The kind of answer that a client prefers, by the weights (q) of its Accept header; the first where they tie."""
    weights = weights_of(accept.encode("latin-1", errors="replace"))

    def weight(kind: str) -> float:
        general = f"{kind.partition('/')[0]}/*"
        return weights.get(kind, weights.get(general, weights.get("*/*", 0.0)))

    return max(kinds, key=weight)  # of equal ones the first
