"""The OpenAPI document: what FastAPI derives from the routes, completed by what holds for every one of them."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from service.access.auth import Gate
from service.open_inference.schemas import InferenceRequest
from service.openapi.jobs import config_schemas
from service.openapi.keys import with_keys
from service.openapi.problems import document_problems
from service.predicting.align_options import TwoPictures
from service.schemas import Base64Images, ProblemDocument

Json = dict[str, Any]

_TAGS = {
    "predict": "Pictures in; class, theta and the straightened picture out.",
    "align": "Two pictures in; where one lies on the other out.",
    "models": "What is served: models, their versions, and which of them answers.",
    "datasets": "Pictures of your own to train on.",
    "jobs": "Training and measuring on the service's machines: launch, watch, stop; a model is served when it is done.",
    "health": "Probes for what starts and watches the service, at the paths of the inference protocol V2.",
    "inference protocol V2": "The Open Inference Protocol, which clients of KServe and Triton speak.",
}
_REQUEST_ID = "X-Request-Id"
_HEADERS: Json = {
    "RequestId": {
        "description": "The request's id, also in the service's log.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "RetryAfter": {
        "description": "Seconds to wait before the request is made again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
_PARAMETERS: Json = {
    "RequestId": {
        "name": _REQUEST_ID,
        "in": "header",
        "description": "An id for the request: 1 to 128 letters, digits, `.`, `_` or `-`; any other is replaced.",
        "schema": {"type": "string"},
        "example": "from-my-program-17",
    },
}
_REFERRED_TO: tuple[type[BaseModel], ...] = (Base64Images, TwoPictures, InferenceRequest, ProblemDocument)
"""By what routes say of themselves; FastAPI knows only what is in their signatures."""
_DONE = {
    "200": "The answer.",
    "201": "It was made.",
    "202": "It is asked for, and this is where it stands.",
    "204": "It was done.",
}
_EVERYWHERE = {500: "The service failed; its log has the reason under the request id."}
_WITH_INPUT = {422: "A parameter or the body is not as described."}
_WITH_BODY = {400: "The body cannot be read.", 413: "The body is too large."}


def complete_openapi(app: FastAPI, gate: Gate) -> None:
    """Let the application give the complete document, which depends on whether there are keys."""
    describe = app.openapi
    documents: dict[bool, Json] = {}

    def openapi() -> Json:
        needed = gate.asks_for_keys
        if needed not in documents:
            app.openapi_schema = None  # FastAPI's own copy
            documents[needed] = _completed(with_keys(describe(), needed))
        return documents[needed]

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: Json) -> Json:
    components = document.setdefault("components", {})
    components["headers"], components["parameters"] = _HEADERS, _PARAMETERS
    for model in _REFERRED_TO:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update({**schema.pop("$defs", {}), model.__name__: schema})
    components["schemas"].update(config_schemas())
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which no route answers
        components["schemas"].pop(name, None)
    used = set()
    for operation in _operations(document):
        used.update(operation["tags"])
        _complete_parameters(operation)
        _complete_responses(operation)
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items() if name in used]
    return document


def _operations(document: Json) -> Iterator[Json]:
    for methods in document["paths"].values():
        yield from methods.values()


def _complete_parameters(operation: Json) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        schema = parameter["schema"]
        # Nothing but the body can be null.
        given = [choice for choice in schema.pop("anyOf", []) if choice != {"type": "null"}]
        if given:
            schema.update(given[0] if len(given) == 1 else {"anyOf": given})
    parameters.append({"$ref": "#/components/parameters/RequestId"})


def _complete_responses(operation: Json) -> None:
    responses: Json = operation["responses"]
    has_input = len(operation["parameters"]) > 1 or "requestBody" in operation
    if "HTTPValidationError" in str(responses.get("422")) or not has_input:
        responses.pop("422", None)
    responses.pop("default", None)
    expected = {
        **_EVERYWHERE,
        **(_WITH_INPUT if has_input else {}),
        **(_WITH_BODY if "requestBody" in operation else {}),
    }
    for status, response in document_problems(expected).items():
        responses.setdefault(str(status), response)
    for status, response in responses.items():
        if response["description"] == "Successful Response":
            response["description"] = _DONE[status]
        headers = response.setdefault("headers", {})
        headers[_REQUEST_ID] = {"$ref": "#/components/headers/RequestId"}
        if status in ("429", "503"):
            headers.setdefault("Retry-After", {"$ref": "#/components/headers/RetryAfter"})
    operation["responses"] = dict(sorted(responses.items()))
