"""Probes, at the paths of the inference protocol V2."""

from fastapi import APIRouter

from service.schemas import Live, Ready

router = APIRouter(prefix="/v2/health", tags=["health"])


@router.get("/live")
async def live() -> Live:
    """The process runs."""
    return Live()


@router.get("/ready")
async def ready() -> Ready:
    """The models are loaded and requests are answered."""
    return Ready()
