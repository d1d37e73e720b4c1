"""What the schema of the HTTP interface says of the protocol's routes, beyond what their signatures do."""

from typing import Any

from service.open_inference.request import HEADER_LENGTH
from service.openapi.predict import TIMEOUT
from service.openapi.problems import Responses, document_problems

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_STARTING = "The service is starting or ending; try again after `Retry-After` seconds."
_REFUSED = "The model's file cannot be read, and is refused with this reason."

MODEL_PROBLEMS: Responses = document_problems(
    {404: "There is no model or version of that name.", 409: _REFUSED, 503: _STARTING}
)

INFERENCE: dict[str, Any] = {
    "responses": {
        200: {
            "description": "The outputs in the order they were asked for. Where one of them is binary, the bytes of those "
            f"stand behind the JSON, whose length is in the header `{HEADER_LENGTH}`.",
            "content": {"application/octet-stream": _BINARY},
            "headers": {
                HEADER_LENGTH: {"description": "Bytes of JSON in front of the tensors.", "schema": {"type": "integer"}}
            },
        },
        **document_problems(
            {
                400: "The body is not such a request, the model has no such tensor, or an image cannot be read.",
                404: "There is no model or version of that name.",
                409: _REFUSED,
                413: "The body, before or after it was inflated, an image or the number of images is too large.",
                415: "`Content-Encoding` is neither gzip nor deflate.",
                422: "`X-Request-Timeout` is not a number of seconds.",
                429: "Too many images wait for the model; try again after `Retry-After` seconds.",
                503: _STARTING,
                504: "The deadline passed before the prediction was made.",
            }
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/InferenceRequest"}},
                "application/octet-stream": _BINARY,
            },
        },
        "parameters": [
            {
                "name": HEADER_LENGTH,
                "in": "header",
                "description": "Length of the JSON where the bytes of a tensor stand behind it; 0 for a body that is one "
                "picture and nothing else.",
                "schema": {"type": "integer", "minimum": 0},
            },
            {
                "name": "Content-Encoding",
                "in": "header",
                "description": "How the body is compressed.",
                "schema": {"type": "string", "examples": ["gzip", "deflate"]},
            },
            TIMEOUT,
        ],
    },
}
"""Arguments of the routes that infer."""
