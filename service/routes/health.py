"""Probes, at the paths of the inference protocol V2."""

from fastapi import APIRouter, Request, Response

from service.models.store import ModelStore
from service.schemas import Live, Ready

router = APIRouter(prefix="/v2/health", tags=["health"])

_NOT_READY = {
    "model": Ready,
    "description": "The models are still being loaded, or the service is about to end.",
    "content": {"application/json": {"example": {"ready": False}}},
}


@router.get("/live")
async def live() -> Live:
    """The process runs."""
    return Live()


@router.get("/ready", responses={503: _NOT_READY})
async def ready(request: Request, response: Response) -> Ready:
    """The models are loaded and requests are answered."""
    store: ModelStore = request.app.state.models
    is_ready = store.ready and not request.app.state.draining
    if not is_ready:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return Ready(ready=is_ready)
