"""What the OpenAPI document says of `/v1/align` beyond what its signature does."""

from typing import Any

from service.openapi.predict import DIGIT, file_schema, header_of
from service.openapi.problems import document_problems

_FILES = {name: file_schema("application/octet-stream") for name in ("moving", "fixed")}

REQUEST: dict[str, Any] = {
    "required": True,
    "description": "A form with the files `moving` and `fixed`, JSON with base64, or an `.npz` file with these arrays.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["moving", "fixed"],
                "properties": _FILES,
                "additionalProperties": False,
            }
        },
        "application/json": {
            "schema": {"$ref": "#/components/schemas/TwoPictures"},
            "examples": {"same": {"summary": "A picture on itself.", "value": {"moving": DIGIT, "fixed": DIGIT}}},
        },
        "application/x-npz": {"schema": file_schema("application/x-npz")},
    },
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Where the moving picture lies. With `Accept: image/png` the warped picture alone, with what else is "
        "known in headers. With `Accept: application/x-npz` arrays for NumPy.",
        "content": {
            "image/png": {"schema": file_schema("image/png")},
            "application/x-npz": {"schema": file_schema("application/x-npz")},
        },
        "headers": {
            "Server-Timing": header_of(
                "Milliseconds of the stages.",
                "decode;dur=1.210, queue;dur=0.021, batch;dur=0.013, infer;dur=9.480, encode;dur=2.062",
            ),
            "X-Stn-Model": header_of("With `image/png`: model and version.", "align/1"),
            "X-Stn-Confidence": header_of("With `image/png`: the confidence.", "0.964414"),
            "X-Stn-Theta": header_of("With `image/png`: theta by parameter, as JSON.", '{"xx":0.80462086,"xy":-0.024}'),
        },
    },
    **document_problems(
        {
            400: "The body cannot be read, or a picture is empty.",
            404: "No such model or version, or none that aligns.",
            409: "The model names pictures and lays none on another, or its file is refused with this reason.",
            413: "The body or a picture is too large.",
            415: "The body is not of a type that is read, or not a picture.",
            422: "A picture is damaged, too small or flat, so that nothing says where it lies; or a field is wrong.",
            429: "Too many images wait for the model; try again after `Retry-After` seconds.",
            503: "The service is starting or ending; try again after `Retry-After` seconds.",
            504: "The deadline passed before the answer was made.",
        }
    ),
}
