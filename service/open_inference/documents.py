"""What the schema of the HTTP interface says of the protocol's routes, beyond what their signatures do."""

from typing import Any

from service.open_inference.request import HEADER_LENGTH
from service.open_inference.schemas import InferenceRequest
from service.problem_documents import Responses, document_problems

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_STARTING = "The service is starting or ending; try again after `Retry-After` seconds."


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with what it refers to in its place, for only there a reference means the same in another document."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {name: _inlined(part, definitions) for name, part in schema.items() if name != "$defs"}
    return [_inlined(part, definitions) for part in schema] if isinstance(schema, list) else schema


def _request_schema() -> dict[str, Any]:
    schema = InferenceRequest.model_json_schema()
    inlined: dict[str, Any] = _inlined(schema, schema["$defs"])
    return inlined


def _any_other() -> Responses:
    (problem,) = document_problems({500: "Any other problem."}).values()
    return {"default": problem}


MODEL_PROBLEMS: Responses = {
    **document_problems({404: "There is no model or version of that name.", 503: _STARTING}),
    **_any_other(),
}

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
                413: "The body, before or after it was inflated, an image or the number of images is too large.",
                415: "`Content-Encoding` is neither gzip nor deflate.",
                422: "`X-Request-Timeout` is not a number of seconds.",
                429: "Too many images wait for the model; try again after `Retry-After` seconds.",
                503: _STARTING,
                504: "The deadline passed before the prediction was made.",
            }
        ),
        **_any_other(),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _request_schema()}, "application/octet-stream": _BINARY},
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
            {
                "name": "X-Request-Timeout",
                "in": "header",
                "description": "Seconds until the answer is 504.",
                "schema": {"type": "number", "exclusiveMinimum": 0},
            },
        ],
    },
}
"""Arguments of the routes that infer."""
