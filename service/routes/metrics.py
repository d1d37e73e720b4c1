"""`GET /metrics`: what the service counts of itself, for Prometheus."""

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.jobs.database import JobDatabase
from service.observing import metrics as numbers
from service.observing.exposition import expose
from service.problems import Problem
from training.jobs.states import State

router = APIRouter(include_in_schema=False)

_PATIENCE = 1.0
"""Seconds that a scrape waits for the database of jobs."""


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """All metrics, as text or in OpenMetrics by the Accept header; made in a thread, for it takes milliseconds."""
    numbers.jobs(await _jobs(request.app.state.jobs))
    request.app.state.publish()
    body, media_type = await to_thread.run_sync(expose, request.headers.get("accept", ""))
    return Response(body, media_type=media_type)


async def _jobs(database: JobDatabase) -> dict[State, int] | None:
    """How many jobs are in each state; None where the database does not answer."""
    if not database.may_have_jobs:
        return {}
    try:
        with anyio.fail_after(_PATIENCE):
            return await database.ask(lambda store: store.counts())
    except (Problem, TimeoutError):
        return None
