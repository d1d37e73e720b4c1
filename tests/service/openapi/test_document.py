"""The OpenAPI document is complete, its examples run, and the service keeps to it."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from service.app import create_app
from service.settings import Settings
from tests.service.openapi import contract

Json = dict[str, Any]

CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}
DOCUMENT: Json = create_app(Settings(home=Path("nowhere"))).openapi()
COMPONENTS: Json = DOCUMENT["components"]
OPERATIONS = [
    pytest.param(method, path, operation, id=f"{method.upper()} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
CHOICE = {
    "/v1/predict": "application/json",
    "/v1/jobs/{id}/events": "application/json",
    "/v1/jobs/{id}/logs": "text/plain",
    "/v1/jobs/{id}/metrics": "application/json",
}
"""Operations that answer in several kinds, with the one by default."""
of_every_operation = pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(True, id="with keys"),
        pytest.param(False, id="without", marks=pytest.mark.exhaustive),
    ],
)
def address(
    request: pytest.FixtureRequest, prepared: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[contract.Address]:
    with contract.served(tmp_path_factory.mktemp("home"), request.param) as address:
        yield address


def resolved(part: Json) -> Json:
    """What a reference to a component stands for."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].removeprefix("#/components/").split("/")
    return COMPONENTS[kind][name]


def check(value: object, schema: Json) -> None:
    Draft202012Validator({**schema, "components": COMPONENTS}).validate(value)


def examples_of(holder: Json) -> list[Any]:
    """The examples of a parameter, a body or its schema, as values; those of files as bytes."""
    schema = resolved(holder.get("schema", {}))
    named = [example.get("value", example.get("externalValue")) for example in holder.get("examples", {}).values()]
    values = [*named, *([holder["example"]] if "example" in holder else []), *schema.get("examples", [])]
    return [_file(value) for value in values]


def _file(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("data:"):
        return base64.b64decode(value.partition(",")[2])
    return value


# The document


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert list(OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)) == []


def test_every_schema_that_is_referred_to_is_there_and_every_one_there_is_referred_to() -> None:
    text = str(DOCUMENT)
    for kind, parts in COMPONENTS.items():
        if kind != "securitySchemes":
            assert [name for name in parts if f"'#/components/{kind}/{name}'" not in text] == []
    assert text.count("'$ref'") == sum(
        text.count(f"'#/components/{kind}/{name}'") for kind, parts in COMPONENTS.items() for name in parts
    )


def test_operations_have_names_of_their_own_and_tags_that_are_described() -> None:
    names = [operation.values[2]["operationId"] for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    assert {tag for operation in OPERATIONS for tag in operation.values[2]["tags"]} == described


@of_every_operation
def test_every_status_is_described_and_a_problem_where_it_is_one(method: str, path: str, operation: Json) -> None:
    assert operation["description"]
    responses = operation["responses"]
    assert "default" not in responses
    expected = {"500"} | ({"400", "413", "422"} if "requestBody" in operation else set())
    assert expected <= responses.keys()
    for status, response in responses.items():
        assert "X-Request-Id" in response["headers"]
        assert ("Retry-After" in response["headers"]) or status not in ("429", "503")
        if int(status) >= 400 and path != "/v2/health/ready":
            assert response["content"].keys() == {"application/problem+json"}
        for kind, answer in response.get("content", {}).items():
            if kind == "application/problem+json":
                assert answer["schema"] == {"$ref": "#/components/schemas/ProblemDocument"}
            for example in examples_of(answer):
                check(example, answer["schema"])


@of_every_operation
def test_parameters_and_bodies_are_described_and_none_is_null(method: str, path: str, operation: Json) -> None:
    for parameter in map(resolved, operation["parameters"]):
        assert parameter["description"]
        assert "null" not in str(parameter["schema"])
        for example in examples_of(parameter):
            check(example, parameter["schema"])
    for body in operation.get("requestBody", {}).get("content", {}).values():
        for example in examples_of(body):
            if not isinstance(example, bytes):
                check(example, body["schema"])


# The service


def requests_of(path: str, operation: Json) -> Iterator[tuple[Json, Json]]:
    """Arguments for httpx that use each example of an operation once, and each kind of answer."""
    parameters = [resolved(parameter) for parameter in operation["parameters"]]
    needed = {(one["in"], one["name"]): examples_of(one)[0] for one in parameters if one.get("required")}
    bodies = [
        (kind, example)
        for kind, body in operation.get("requestBody", {}).get("content", {}).items()
        for example in examples_of(body)
    ]
    if "requestBody" in operation and not bodies:
        return
    first = bodies[0] if bodies else None
    for body in bodies or [None]:
        yield _request(path, needed, body)
    for parameter in parameters:
        for example in examples_of(parameter):
            yield _request(path, {**needed, (parameter["in"], parameter["name"]): example}, first)
    for kind in operation["responses"].get("200", {}).get("content", {}):
        yield _request(path, {**needed, ("header", "Accept"): kind}, first)


def _request(path: str, values: dict[tuple[str, str], Any], body: tuple[str, Any] | None) -> Json:
    places: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for (place, name), value in values.items():
        places[place][name] = value if isinstance(value, list) else str(value)
    request: Json = {"url": path.format(**places["path"]), "params": places["query"], "headers": places["header"]}
    if body is not None:
        kind, value = body
        request["headers"]["Content-Type"] = kind
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        request["content"] = CODINGS[places["header"].get("Content-Encoding", "identity")](content)
    return request


@of_every_operation
def test_every_example_runs(address: contract.Address, method: str, path: str, operation: Json) -> None:
    with httpx2.Client(base_url=address.url, headers=address.headers()) as client:
        for request in requests_of(path, operation):
            answer = client.request(method, **request)
            # The default model is not deleted, a job only once, and of one that has ended nothing more can be asked. A
            # data set is uploaded once.
            once = path.startswith("/v1/jobs/{id}/") or (method, path) == ("post", "/v1/datasets")
            refused = {409, 404} if method == "delete" else {409} if once else set()
            assert answer.is_success or answer.status_code in refused, answer.text
            described = operation["responses"][str(answer.status_code)]
            kind = answer.headers.get("content-type", "").partition(";")[0]
            if path in CHOICE:  # elsewhere a client cannot choose
                assert (
                    kind == request["headers"].get("Accept", CHOICE[path]) or request["params"].get("format") == "csv"
                )
            assert answer.headers["x-request-id"] == request["headers"].get(
                "X-Request-Id", answer.headers["x-request-id"]
            )
            if kind.endswith("json"):
                check(answer.json(), described["content"][kind]["schema"])
            else:
                assert kind in described.get("content", {"": None})


@pytest.mark.slow
def test_the_service_keeps_to_the_document(address: contract.Address, tmp_path: Path) -> None:
    arguments = ["--max-examples", "5", "--generation-deterministic"]
    outcome = contract.check(address, tmp_path, arguments, with_files=address.key is not None)
    assert outcome.is_good, outcome.report
    assert outcome.cases > 200
