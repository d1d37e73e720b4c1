"""`/v1/jobs/ID/checkpoints` and `/artifacts`: the files of a job."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response

from service.jobs import files, schemas
from service.jobs.parameters import AWAY, UNKNOWN, WRONG, JobId, database_of, root_of, run_of
from service.jobs.stream import Streamed
from service.jobs.views import checkpoints_of
from service.openapi.jobs import FILE
from service.openapi.problems import document_problems
from service.problems import Problem

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_PROBLEMS = document_problems({404: UNKNOWN, 422: WRONG, 503: AWAY})
_PAGE_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
"""Of the report, which holds its style and its pictures; nothing in it runs, and only the job's page frames it."""


@router.get("/{id}/checkpoints", responses=_PROBLEMS)
async def get_checkpoints(request: Request, id: JobId) -> schemas.Checkpoints:
    """The states of the training that are kept: `last.ckpt`, to go on from, and `best.ckpt`, by the validation loss."""
    job = await database_of(request).ask(lambda store: store.get(id))
    found = await to_thread.run_sync(checkpoints_of, request.app.state.settings, job)
    return schemas.Checkpoints(checkpoints=found)


@router.get("/{id}/artifacts", responses=_PROBLEMS)
async def get_artifacts(request: Request, id: JobId) -> schemas.Artifacts:
    """The files that the job has made: model file, report, samples, config, metrics."""
    run, link = await run_of(request, id), f"{root_of(request)}/v1/jobs/{id}/artifacts"
    return schemas.Artifacts(artifacts=await to_thread.run_sync(files.list_files, run, link))


@router.get(
    "/{id}/artifacts/{path:path}",
    response_class=Response,
    responses={200: FILE, **document_problems({404: "There is no such job or file.", 422: WRONG, 503: AWAY})},
)
async def get_artifact(
    request: Request,
    id: JobId,
    path: Annotated[str, Path(description="Of the file, as the list of artifacts has it.", examples=["config.json"])],
) -> Response:
    """One of these files."""
    run = await run_of(request, id)
    found = await to_thread.run_sync(files.open_file, run, path)
    if found is None:
        raise Problem(404, "the job has no such file: see its artifacts")
    size = found.status.st_size
    headers = {"Content_Length": str(size)}
    if found.media_type.startswith("text/html"):
        headers["Content_Security_Policy"] = _PAGE_POLICY
    if path.endswith(".safetensors"):
        headers["Content_Disposition"] = f'attachment; filename="{id}.safetensors"'
    return Streamed(files.content(found.file, size), found.media_type, found.file.close, **headers)
