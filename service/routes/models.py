"""`/v1/models`: what is served, which version is the default, and deletion."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.models.changes import choose_default, delete_model, delete_version
from service.models.folder import LARGEST_VERSION, NAME_PATTERN
from service.models.listing import describe_model, describe_models, describe_version
from service.models.store import ModelStore
from service.openapi.problems import document_problems
from service.schemas import DefaultVersion, Model, Models, ModelVersion

router = APIRouter(prefix="/v1/models", tags=["models"])

Name = Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the model.", examples=["handwriting"])]
Version = Annotated[int, Path(ge=1, le=LARGEST_VERSION, description="Version of the model.", examples=[1])]

_UNKNOWN = "There is no model or version of that name."
_WRONG = "The name is not 1 to 64 letters, digits, `_` or `-`, or the version not a number from 1."
_REFUSED = "The file cannot be read, and is refused with this reason."
_STARTING = (
    "The models are still being loaded, or the file cannot be read just now; try again after `Retry-After` seconds."
)


@router.get("", response_model=Models)
async def list_models(request: Request) -> Response:
    """Every model with its versions, and the files in the models folder that are not served, with the reason."""
    # Beside the event loop: thousands of versions take a while.
    text = await asyncio.to_thread(lambda: describe_models(_store(request)).model_dump_json())
    return Response(text, media_type="application/json")


@router.get("/{name}", responses=document_problems({404: _UNKNOWN, 409: _REFUSED, 422: _WRONG, 503: _STARTING}))
async def get_model(request: Request, name: Name) -> Model:
    """One model: its versions, input, classes, scores and where its weights come from."""
    await _store(request).locate(name, None)
    return describe_model(_store(request), name)


@router.get(
    "/{name}/versions/{version}",
    responses=document_problems({404: _UNKNOWN, 409: _REFUSED, 422: _WRONG, 503: _STARTING}),
)
async def get_version(request: Request, name: Name, version: Version) -> ModelVersion:
    """One version of a model."""
    return describe_version(_store(request), await _store(request).locate(name, version))


@router.put(
    "/{name}/default",
    responses=document_problems(
        {
            400: "The body is not text.",
            404: _UNKNOWN,
            409: "The version's file is refused, the model was changed at the same time, or the models folder cannot be "
            "written.",
            413: "The body is too large.",
            422: "The body or the name is wrong.",
            503: _STARTING,
            507: "The disk is full.",
        }
    ),
)
async def put_default(request: Request, name: Name, chosen: DefaultVersion) -> Model:
    """Choose the version that answers when a request names none; it does so, from memory, when this is answered."""
    await choose_default(_store(request), name, chosen.version)
    return describe_model(_store(request), name)


@router.delete(
    "/{name}/versions/{version}",
    status_code=204,
    responses=document_problems(
        {
            404: _UNKNOWN,
            409: "The version is in use: it is the chosen default of its model, the last version of the model that the "
            "service is set to answer with, or it is predicting. Or the models folder cannot be written.",
            422: _WRONG,
            503: _STARTING,
            507: "The disk is full.",
        }
    ),
)
async def delete_one_version(request: Request, name: Name, version: Version) -> None:
    """Delete one version; where it is the one that answers, the next one is loaded first and answers from then on."""
    await delete_version(_store(request), name, version)


@router.delete(
    "/{name}",
    status_code=204,
    responses=document_problems(
        {
            404: _UNKNOWN,
            409: "The model is in use: it is the one that the service is set to answer with, or one of its versions is "
            "predicting. Or the models folder cannot be written.",
            422: _WRONG,
            503: _STARTING,
        }
    ),
)
async def delete_one_model(request: Request, name: Name) -> None:
    """Delete a model with all its versions."""
    await delete_model(_store(request), name)


def _store(request: Request) -> ModelStore:
    store: ModelStore = request.app.state.models
    return store
