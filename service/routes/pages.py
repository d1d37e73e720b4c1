"""The web page at `/` and its files at `/static`."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

STATIC = Path(__file__).parent.parent / "static"

router = APIRouter(include_in_schema=False)

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # A page of one release never runs with the modules of another.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The page's files, with its headers."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers.update(_HEADERS)
        return response


@router.get("/")
async def page() -> FileResponse:
    """Choose a picture and see what the network makes of it."""
    return FileResponse(STATIC / "index.html", headers=_HEADERS)
