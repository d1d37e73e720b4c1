"""What the OpenAPI document says of keys."""

from collections.abc import Callable
from typing import Any

from service.access.scopes import ANY, required_scope
from service.openapi.problems import document_problems

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key made with `stn keys create`. A service without keys asks for none.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}
_CHALLENGE = {"WWW-Authenticate": {"description": "How to send it.", "schema": {"type": "string", "enum": ["Bearer"]}}}


def with_keys(document: dict[str, Any], needed: bool) -> dict[str, Any]:
    """The document, which now says which operations need a key, if any does, and what they answer without one."""
    document.setdefault("components", {})["securitySchemes"] = _SCHEMES
    _each_operation(document, lambda method, path, operation: _declare(operation, required_scope(method, path), needed))
    return document


def _each_operation(document: dict[str, Any], change: Callable[[str, str, dict[str, Any]], None]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "responses" in operation:  # what else stands there is no operation
                change(method.upper(), path, operation)


def _declare(operation: dict[str, Any], scope: str | None, needed: bool) -> None:
    problems = {403: "A page of another site sent it, or the key does not have the scope."}
    if scope is None:
        operation["security"] = []
    else:
        operation["security"] = [{"bearer": []}, {"header": []}] if needed else [{}, {"bearer": []}, {"header": []}]
        wanted = "any key" if scope == ANY else f"a key with the scope `{scope}`"
        operation["description"] = (
            f"{operation.get('description', '')}\n\nNeeds {wanted}, where there are keys.".lstrip()
        )
        problems |= {401: "A key is needed, or it is not valid.", 429: "The client sends too many requests."}
    for status, answer in document_problems(problems).items():
        headers = {"headers": {**_CHALLENGE}} if status == 401 else {}
        operation["responses"].setdefault(str(status), {**answer, **headers})
