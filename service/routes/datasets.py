"""`/v1/datasets`: pictures of your own to train on."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from service.datasets.changes import DatasetChanges, read_report
from service.datasets.listing import describe_datasets
from service.datasets.schemas import DatasetReport, Datasets
from service.datasets.store import KNOWN, NAME_PATTERN
from service.openapi.datasets import REQUEST
from service.openapi.problems import document_problems
from service.problems import Problem
from service.receiving import RAW, Expected, receive

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

Name = Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the data set.", examples=["my-photos"])]

_UNKNOWN = {
    404: "There is no data set of that name.",
    422: "The name is not 1 to 64 letters, digits, `_` or `-`.",
}
_LOCATION = {"Location": {"description": "Path of the data set.", "schema": {"type": "string"}}}
_KINDS = ("application/zip", RAW)


@router.post(
    "",
    status_code=201,
    responses={
        201: {"description": "It is there, with what was taken and what was refused.", "headers": _LOCATION},
        **document_problems(
            {
                400: "The body is empty or no form.",
                409: "There is a data set of that name, which must be deleted first; or the service may not write to its "
                "folder.",
                413: "The file is too large.",
                415: "The body is neither a file nor a form.",
                422: "The whole file is refused, for the reason given; or the name is wrong.",
                503: "The check of the file was killed; try again after `Retry-After` seconds.",
                507: "The disk is full.",
            }
        ),
    },
    openapi_extra={"requestBody": REQUEST},
)
async def post_dataset(
    request: Request,
    response: Response,
    name: Annotated[
        str,
        Query(
            pattern=NAME_PATTERN,
            description="Name of the data set; none that training knows already.",
            examples=["my-drawings"],
            json_schema_extra={"not": {"enum": list(KNOWN)}},
        ),
    ],
) -> DatasetReport:
    """Add pictures to train on: a zip file with a folder for each class, or an `.npz` file of arrays.

    Every picture is opened as training opens it before it is taken. A bad one among good ones is left out and named in the
    answer; a file that is no zip file, holds links, names outside of it or encrypted files, or unpacks to far more than it
    is, is refused as a whole.
    """
    changes = _changes(request)
    expected = Expected("the data set", request.app.state.settings.max_dataset_bytes, _KINDS)
    report = await changes.add(name, lambda path: receive(request, path, expected), request.is_disconnected)
    place = request.app.url_path_for("get_dataset", name=name)
    response.headers["Location"] = request.scope.get("root_path", "") + place
    return report


@router.get("", response_model=Datasets)
async def list_datasets(request: Request) -> Response:
    """Every data set with its classes, and the names of those that training knows beside them."""
    # Beside the event loop: thousands of them take a while.
    text = await to_thread.run_sync(lambda: describe_datasets(_changes(request).store).model_dump_json())
    return Response(text, media_type="application/json")


@router.get(
    "/{name}/sheet",
    response_class=Response,
    responses={
        200: {
            "description": "A row of pictures for each class, with its name.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **document_problems(_UNKNOWN),
    },
)
async def get_dataset_sheet(request: Request, name: Name) -> Response:
    """The contact sheet of a data set, as a PNG: up to 10 pictures of each of the first 40 classes."""
    changes = _changes(request)
    try:
        sheet = await to_thread.run_sync(lambda: changes.store.sheet(changes.find(name)))
        return Response(sheet, media_type="image/png")
    except FileNotFoundError:
        raise Problem(404, f"there is no data set {name!r}") from None


@router.get("/{name}", responses=document_problems(_UNKNOWN))
async def get_dataset(request: Request, name: Name) -> DatasetReport:
    """One data set: its classes, and what of its upload was refused."""
    return await to_thread.run_sync(lambda: _report(_changes(request), name))


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=document_problems(
        {
            **_UNKNOWN,
            409: "A job uses it that has not ended, or is being created with it, or it is being deleted; or the service "
            "may not write to its folder.",
            503: "The database of jobs does not answer; try again after `Retry-After` seconds.",
            507: "The disk is full.",
        }
    ),
)
async def delete_dataset(request: Request, name: Name) -> None:
    """Delete a data set, unless a job uses it that has not ended."""
    await _changes(request).delete(name)


def _report(changes: DatasetChanges, name: str) -> DatasetReport:
    return read_report(changes.store, changes.find(name))


def _changes(request: Request) -> DatasetChanges:
    changes: DatasetChanges = request.app.state.datasets
    return changes
