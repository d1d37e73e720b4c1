"""How the OpenAPI document tells of problems."""

from http import HTTPStatus
from typing import Any

Responses = dict[int | str, dict[str, Any]]


def document_problems(descriptions: dict[int, str]) -> Responses:
    """The part of a route's `responses` that says when it answers with each of these statuses."""
    return {status: _document_problem(status, description) for status, description in descriptions.items()}


def _document_problem(status: int, description: str) -> dict[str, Any]:
    example = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": description,
        "error": description,
        "request_id": "6f1c0b7e9f6d4c5aa1de1b4c3f0e2d91",
    }
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": schema, "example": example}},
    }
