"""The pictures in the body of a request: raw, in a form, or in JSON."""

import base64
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from service.predicting.multipart import boundary_of, parse_form
from service.problems import Problem
from service.schemas import Base64Images

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def read_body(receive: Receive) -> bytes:
    """The whole body; a ClientDisconnect where the client goes away before it has sent it."""
    body, more = b"", True
    pieces: list[bytes] = []
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body, more = message.get("body", b""), message.get("more_body", False)
        pieces.append(body)
    return body if len(pieces) == 1 else b"".join(pieces)


def images_in(body: bytes, content_type: str, max_images: int) -> Sequence[bytes | Problem]:
    """The bytes of each picture, in order, or the problem with one of several.

    Raises:
        Problem: 400 for a form without pictures, 413 for too many, 415 for a body of another kind, 422 for a field that is
            wrong.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [body]
    if kind == "multipart/form-data":
        return _images_in_form(body, content_type, max_images)
    if kind == "application/json":
        return _images_in_json(body, max_images)
    known = "image/png, image/jpeg, multipart/form-data or application/json"
    raise Problem(415, f"Content-Type must be {known}, got {kind or 'none'!r}")


def decode_base64(text: str) -> bytes:
    """The bytes of base64, also with line breaks or as a data URI; a ValueError for other text."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    return base64.b64decode("".join(text.split()), validate=True)


def _images_in_form(body: bytes, content_type: str, max_images: int) -> list[bytes]:
    try:
        parts = parse_form(body, boundary_of(content_type), max_images)
    except Problem as problem:
        raise _too_many(max_images) if problem.status == 413 else problem from None
    for part in parts:
        if part.name != "image" or not part.is_file:
            raise Problem(422, f"the form's fields must be files named image, got {part.name[:64]!r}")
    if not parts:
        raise Problem(400, "the form holds no image: send at least one file in the field image")
    return [part.content for part in parts]


def _images_in_json(body: bytes, max_images: int) -> list[bytes | Problem]:
    try:
        images = Base64Images.model_validate_json(body).images
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Problem(422, f'the body must be JSON like {{"images": ["<base64>"]}}; {place}: {first["msg"]}') from None
    if len(images) > max_images:
        raise Problem(413, f"one request may hold at most {max_images} images, got {len(images)}")
    return [_decode_image(text, index) for index, text in enumerate(images)]


def _decode_image(text: str, index: int) -> bytes | Problem:
    try:
        return decode_base64(text)
    except ValueError as error:
        return Problem(422, f"images.{index} must be base64 ({error})")


def _too_many(max_images: int) -> Problem:
    return Problem(413, f"one request may hold at most {max_images} images")
