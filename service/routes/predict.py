"""`POST /v1/predict`: a picture in, class, theta and the straightened picture out."""

import asyncio
import base64
import json
import re
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from service.answers import describe, describe_theta
from service.images import Picture, png, read_picture
from service.model_store import ModelStore, Served
from service.predictor import Prediction, QueueFull
from service.problems import Problem
from service.schemas import Base64Images, FailedImage, ImagePrediction, Predictions, ProblemDocument
from service.settings import Settings

router = APIRouter(prefix="/v1", tags=["predict"])

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_REQUEST = {
    "required": True,
    "content": {
        "image/png": _IMAGE,
        "image/jpeg": _IMAGE,
        "image/webp": _IMAGE,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
        "application/json": {"schema": Base64Images.model_json_schema()},
    },
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemDocument, "description": description}
    for status, description in {
        400: "The request has no image, or its body cannot be read.",
        404: "No such model or version.",
        406: "`Accept: image/png` was asked for several images.",
        413: "The body, an image or the number of images is too large.",
        415: "The body is not of a type that is read, or not a picture.",
        422: "A picture is damaged, or a field is wrong.",
        429: "Too many images wait for the model; try again after `Retry-After` seconds.",
    }.items()
}


@router.post(
    "/predict",
    response_model=Predictions,
    responses={
        200: {
            "description": "One entry per image; with `Accept: image/png` the transformed image itself.",
            "content": {"image/png": _IMAGE},
        },
        **_PROBLEMS,
    },
    openapi_extra={"requestBody": _REQUEST},
)
async def predict(
    request: Request,
    model: Annotated[
        str | None, Query(description="Name of the model; the default model where it is left out.")
    ] = None,
    version: Annotated[
        int | None, Query(ge=1, description="Version; the model's default where it is left out.")
    ] = None,
) -> Response:
    """Name what each picture shows and straighten it.

    The body is one picture (`image/png`, `image/jpeg`, ...), a multipart form with one or several files in the field
    `image`, or JSON with base64. Of several pictures a bad one fails alone: its entry holds the `problem`.
    """
    settings: Settings = request.app.state.settings
    store: ModelStore = request.app.state.models
    served = await store.get(model, version)
    bodies = await _read_bodies(request, settings.max_images)
    as_png = _wants_png(request)
    if as_png and len(bodies) != 1:
        raise Problem(406, f"Accept: image/png answers one image at a time, got {len(bodies)}")
    pictures = await to_thread.run_sync(
        _read_pictures, bodies, served, settings.max_pixels, limiter=request.app.state.decoding
    )
    predictions = await _predict(served, pictures)
    if as_png:
        return await run_in_threadpool(_png_response, served, predictions[0])
    return await run_in_threadpool(_json_response, served, pictures, predictions)


async def _read_bodies(request: Request, max_images: int) -> list[bytes]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [await request.body()]
    if kind == "multipart/form-data":
        return await _read_form(request, max_images)
    if kind == "application/json":
        return _read_json(await request.body(), max_images)
    raise Problem(
        415,
        f"Content-Type must be image/png, image/jpeg, multipart/form-data or application/json, got {kind or 'none'!r}",
    )


async def _read_form(request: Request, max_images: int) -> list[bytes]:
    try:
        async with request.form(max_files=max_images, max_fields=16) as form:
            fields = form.multi_items()
            for name, value in fields:
                if name != "image" or not isinstance(value, UploadFile):
                    raise Problem(422, f"the form's fields must be files named image, got {name[:64]!r}")
            return [await value.read() for _, value in fields if isinstance(value, UploadFile)] or _no_image()
    except HTTPException as error:
        if error.status_code == 400 and "Maximum number of files" in error.detail:
            raise Problem(413, f"one request may hold at most {max_images} images") from None
        raise


def _read_json(body: bytes, max_images: int) -> list[bytes]:
    try:
        images = Base64Images.model_validate_json(body).images
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Problem(422, f'the body must be JSON like {{"images": ["<base64>"]}}; {place}: {first["msg"]}') from None
    if len(images) > max_images:
        raise Problem(413, f"one request may hold at most {max_images} images, got {len(images)}")
    return [_decode_base64(text, index) for index, text in enumerate(images)]


def _decode_base64(text: str, index: int) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise Problem(422, f"images.{index} must be base64 ({error})") from None


def _no_image() -> list[bytes]:
    raise Problem(400, "the form holds no image: send at least one file in the field image")


def _wants_png(request: Request) -> bool:
    """Whether the client prefers image/png to JSON; by the weights (q) of its Accept header, JSON where they tie."""
    weights: dict[str, float] = {}
    for part in request.headers.get("accept", "").lower().split(","):
        kind, *parameters = (text.strip() for text in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        weights[kind] = float(weight) if re.fullmatch(r"[01](\.\d*)?", weight) else 0.0
    json_weight = weights.get("application/json", weights.get("application/*", 0.0))
    return weights.get("image/png", 0.0) > json_weight


def _read_pictures(bodies: list[bytes], served: Served, max_pixels: int) -> list[Picture | Problem]:
    """Each picture, or the problem with it; a problem with the only one is raised."""
    pictures: list[Picture | Problem] = []
    for body in bodies:
        try:
            pictures.append(read_picture(body, served.info.input, max_pixels))
        except Problem as problem:
            if len(bodies) == 1:
                raise
            pictures.append(problem)
    return pictures


async def _predict(served: Served, pictures: list[Picture | Problem]) -> list[Prediction | Problem]:
    """The prediction for each picture, or the problem with it; no picture is taken where not all can be."""
    try:
        futures = served.predictor.submit([picture.pixels for picture in pictures if isinstance(picture, Picture)])
    except QueueFull:
        raise Problem(429, f"too many images wait for model {served.name}", {"Retry-After": "1"}) from None
    predictions = iter(await asyncio.gather(*map(asyncio.wrap_future, futures)))
    return [picture if isinstance(picture, Problem) else next(predictions) for picture in pictures]


def _json_response(
    served: Served, pictures: list[Picture | Problem], predictions: list[Prediction | Problem]
) -> Response:
    entries: list[ImagePrediction | FailedImage] = []
    for picture, prediction in zip(pictures, predictions, strict=True):
        if isinstance(picture, Problem) or isinstance(prediction, Problem):
            problem = picture if isinstance(picture, Problem) else prediction
            assert isinstance(problem, Problem)
            entries.append(FailedImage(problem=ProblemDocument(**problem.document())))
        else:
            entries.append(describe(picture, prediction, served.info))
    answer = Predictions(model=served.name, version=served.version, predictions=entries)
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


def _png_response(served: Served, prediction: Prediction | Problem) -> Response:
    assert isinstance(prediction, Prediction)
    theta = describe_theta(prediction, served.info)
    best = int(prediction.probabilities.argmax())
    headers = {
        "X-Stn-Model": f"{served.name}/{served.version}",
        "X-Stn-Class": json.dumps(served.info.class_names[best]),
        "X-Stn-Probability": f"{float(prediction.probabilities[best]):.6f}",
        "X-Stn-Theta": json.dumps(theta.parameters if theta else None),
    }
    return Response(png(prediction.transformed), media_type="image/png", headers=headers)
