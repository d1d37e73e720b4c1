"""`GET /metrics`: what the service counts of itself, for Prometheus."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.observing.exposition import expose

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """All metrics, as text or in OpenMetrics by the Accept header; made in a thread, for it takes milliseconds."""
    request.app.state.publish()
    body, media_type = expose(request.headers.get("accept", ""))
    return Response(body, media_type=media_type)
