"""`/v1/jobs/ID/events`: what happens to a job, in pages or as it happens."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.jobs import schemas
from service.jobs.feed import PAGE
from service.jobs.parameters import AWAY, UNKNOWN, WRONG, JobId, database_of, feed_of, last_header, preferred
from service.jobs.shown import shown_event
from service.jobs.stream import EVENTS, Streamed, events, sse
from service.openapi.jobs import EVENT_STREAM
from service.openapi.problems import document_problems

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_JSON = "application/json"


@router.get(
    "/{id}/events",
    response_model=schemas.JobEvents,
    responses={200: EVENT_STREAM, **document_problems({404: UNKNOWN, 422: WRONG, 503: AWAY})},
)
async def get_events(
    request: Request,
    id: JobId,
    after: Annotated[
        int, Query(ge=0, le=schemas.LARGEST, description="Only events with larger ids.", examples=[0])
    ] = 0,
    limit: Annotated[
        int, Query(ge=1, le=PAGE, description="Most events of a page; not of a stream.", examples=[100])
    ] = 100,
    last: Annotated[str | None, last_header(9, "1")] = None,
) -> Response:
    """What happened to a job: changes of its state, progress, metrics, samples.

    As JSON a page of what there is. With `Accept: text/event-stream` everything there is and all that comes, each event once
    and in order, with a comment every 15 seconds where there is none; when the job has ended, the event `end` is the last. A
    stream that breaks off goes on after `Last-Event-ID`.
    """
    position = after if last is None else int(last)
    if preferred(request.headers.get("accept", ""), (_JSON, EVENTS)) == EVENTS:
        feed = feed_of(request)
        tail = await feed.attach(id)
        return Streamed(sse(feed, tail, events(feed, tail, position)), EVENTS, lambda: feed.detach(tail))
    # The row first: where it has ended, the page has all that there is.
    job, found = await database_of(request).ask(lambda store: (store.get(id), store.events(id, position, limit)))
    page = schemas.JobEvents(
        events=list(map(shown_event, found)), next=found[-1].id if found else position, state=job.state
    )
    return Response(page.model_dump_json(), media_type=_JSON)
