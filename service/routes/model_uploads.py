"""`POST /v1/models`: a model file becomes the next version of a model."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from service.models.changes import add_model
from service.models.folder import NAME_PATTERN
from service.models.listing import describe_version
from service.models.store import ModelStore
from service.models.upload import received
from service.openapi.problems import document_problems
from service.schemas import ModelVersion
from service.settings import Settings

router = APIRouter(prefix="/v1/models", tags=["models"])

_FILE = {"type": "string", "format": "binary"}
_LOCATION = {"Location": {"description": "Path of the version.", "schema": {"type": "string"}}}
_REQUEST: dict[str, Any] = {
    "required": True,
    "content": {
        "application/octet-stream": {"schema": _FILE},
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": _FILE}},
        },
    },
}


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": ModelVersion, "description": "A version has the same bytes already.", "headers": _LOCATION},
        201: {"description": "It has become a version.", "headers": _LOCATION},
        **document_problems(
            {
                400: "The body is empty or no form.",
                409: "The service may not write to its models folder.",
                413: "The file is too large.",
                415: "The body is neither a file nor a form.",
                422: "The file is not a model file that can be served, for the reason given, or the name is wrong.",
                503: "The models are still being loaded; try again after `Retry-After` seconds.",
                507: "The disk is full.",
            }
        ),
    },
    openapi_extra={"requestBody": _REQUEST},
)
async def post_model(
    request: Request,
    response: Response,
    name: Annotated[str, Query(pattern=NAME_PATTERN, description="Name of the model.", examples=["handwriting"])],
) -> ModelVersion:
    """Add a model file (safetensors, as `stn train` writes it) as the next version of a model.

    It is loaded and checked completely before it becomes a version; unless another version was chosen to be the default, it
    answers from then on. The same bytes again give the version that has them.
    """
    store: ModelStore = request.app.state.models
    settings: Settings = request.app.state.settings
    store.check_ready()
    async with received(request, store.shelf.uploads, settings.max_model_bytes) as path:
        entry, is_new = await add_model(store, name, path)
    response.status_code = 201 if is_new else 200
    place = request.app.url_path_for("get_version", name=entry.name, version=entry.version)
    response.headers["Location"] = request.scope.get("root_path", "") + place
    return describe_version(store, entry)
