"""A model file that is posted, on its way to its place."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import Request

from service.disk_problems import explained
from service.models.folder import UPLOAD_PREFIX
from service.receiving import Expected, receive


@asynccontextmanager
async def received(request: Request, models: Path, max_bytes: int) -> AsyncIterator[Path]:
    """A file in the models folder with the bytes of the posted file; it is gone at the end, whatever happens.

    Raises:
        Problem: 400, 413 or 415 where the body is not one file of at most `max_bytes`.
    """
    with explained("models"):
        models.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=models, prefix=UPLOAD_PREFIX)
        os.close(handle)
    path = Path(name)
    try:
        with explained("models"):
            await receive(request, path, Expected("the model file", max_bytes))
            path.chmod(0o644)
        yield path
    finally:
        path.unlink(missing_ok=True)
