"""`/v1/jobs/ID/metrics`, `/probe` and `/logs`: what a training has measured, shown and written."""

import csv
import io
from pathlib import Path
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from service.jobs import console, curves, schemas
from service.jobs.console import Look
from service.jobs.parameters import AWAY, UNKNOWN, WRONG, JobId, database_of, feed_of, last_header, preferred, run_of
from service.jobs.probe import read_probe
from service.jobs.stream import EVENTS, Streamed, sse, texts
from service.jobs.views import is_all_here, view
from service.openapi.jobs import LOGS, METRICS
from service.openapi.problems import document_problems
from service.problems import Problem
from service.settings import Settings
from training.jobs.job import Job
from training.metrics_file import read_metrics
from training.storage.places import StorageUnavailable

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Format = Literal["json", "csv", "svg", "png"]
KINDS: dict[str, Format] = {"application/json": "json", "text/csv": "csv", "image/svg+xml": "svg", "image/png": "png"}
_TEXT = "text/plain"
_PROBLEMS = document_problems({404: UNKNOWN, 422: WRONG, 503: AWAY})


@router.get("/{id}/metrics", response_model=schemas.JobMetrics, responses={200: METRICS, **_PROBLEMS})
async def get_metrics(
    request: Request,
    id: JobId,
    format: Annotated[
        Format | None, Query(description="Kind of answer, instead of the Accept header's.", examples=["csv"])
    ] = None,
) -> Response:
    """Loss, accuracy and learning rate at every validation until now, as numbers or as a picture of their curves."""
    chosen = format or KINDS[preferred(request.headers.get("accept", ""), tuple(KINDS))]
    kind = next(kind for kind, name in KINDS.items() if name == chosen)
    body = await to_thread.run_sync(_metrics, await run_of(request, id) / "metrics.jsonl", chosen)
    return Response(body, media_type=kind)


@router.get("/{id}/probe", response_model=schemas.Probe, responses=_PROBLEMS)
async def get_probe(
    request: Request,
    id: JobId,
    after: Annotated[int, Query(ge=0, le=2**53, description="Only frames of later steps.", examples=[0])] = 0,
) -> Response:
    """A few test pictures, the same for the whole job, and what the network made of them at one validation after the other.

    Of an aligner they are pairs, which it lays on each other.

    The event `sample` tells that there is a new frame.
    """
    found = await to_thread.run_sync(read_probe, await run_of(request, id), after)
    return Response(found.model_dump_json(by_alias=True, exclude_unset=True), media_type="application/json")


@router.get("/{id}/logs", response_class=Response, responses={200: LOGS, **_PROBLEMS})
async def get_logs(
    request: Request,
    id: JobId,
    follow: Annotated[
        bool, Query(description="Go on with what is written, until the job has ended.", examples=[False])
    ] = False,
    tail: Annotated[
        int | None, Query(ge=0, le=1_000_000, description="Only so many of the last lines.", examples=[20])
    ] = None,
    after: Annotated[
        int,
        Query(
            ge=0, le=2**53, description="Leave out so many bytes: `X-Stn-Offset` and what came of a log that broke off."
        ),
    ] = 0,
    last: Annotated[str | None, last_header(15, "6")] = None,
) -> Response:
    """What the job's processes have written, those of all its attempts.

    With `Accept: text/event-stream` it goes on until the job has ended, too: the data of an event is a JSON string of whole
    characters, its id the byte after them. Comments, the event `end` and `Last-Event-ID` are as those of `events`.
    """
    path = await run_of(request, id) / console.NAME
    start = after if last is None else int(last)
    if tail is not None and last is None:
        start = max(start, await to_thread.run_sync(console.start_of_tail, path, tail))
    kind = preferred(request.headers.get("accept", ""), (_TEXT, EVENTS))
    if not follow and kind == _TEXT:
        return Streamed(console.written(path, start), kind, X_Stn_Offset=str(start))
    feed, look = feed_of(request), _looking(request, id)
    watched = await feed.attach(id)
    if kind == EVENTS:
        text = sse(feed, watched, texts(feed, watched, path, start, look))
    else:
        text = console.followed(feed, watched, path, start, look)
    return Streamed(text, kind, lambda: feed.detach(watched), X_Stn_Offset=str(start))


def _looking(request: Request, id: str) -> Look | None:
    settings: Settings = request.app.state.settings
    if not settings.storage:
        return None

    def bring(job: Job) -> bool:
        view(settings, job)
        return is_all_here(settings, job)

    async def look() -> bool:
        try:
            job = await database_of(request).ask(lambda store: store.get(id))
            return await to_thread.run_sync(bring, job)
        except Problem as problem:
            return problem.status == 404  # nothing more comes of a job that is gone; otherwise later, perhaps
        except StorageUnavailable:
            return False

    return look


def _metrics(path: Path, chosen: Format) -> bytes:
    try:
        metrics = read_metrics(path)
    except FileNotFoundError:  # nothing was measured yet
        metrics = []
    if chosen == "svg":
        return curves.svg(metrics)
    if chosen == "png":
        return curves.png(metrics)
    if chosen == "csv":
        return _csv(metrics)
    return schemas.JobMetrics(metrics=metrics).model_dump_json().encode()


def _csv(metrics: list[dict[str, float]]) -> bytes:
    """A row for each validation, a column for each name in the order in which they came first."""
    names = dict.fromkeys(["step", *(name for line in metrics for name in line)])
    file = io.StringIO()
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.17g}" for name, value in line.items()} for line in metrics)
    return file.getvalue().encode()
