"""Requests of the Open Inference Protocol V2 that do not fit, and any bytes at all: refused by name, never a failure."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import CLASSES, write_model
from tests.service.inference_requests import (
    LENGTH,
    NUMBERS,
    PATH,
    PICTURE,
    PIXELS,
    PNG,
    behind,
    label,
    one_array,
    one_picture,
    post,
    strings,
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models/tiny/1.safetensors")
    with TestClient(create_app(Settings(home=home, max_images=4, max_body_bytes=100_000))) as client:
        yield client


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (b"", "the body must be an inference request; the body: Invalid JSON"),
        (b"[]", "the body must be an inference request; the body: Input should be an object"),
        (b"{}", "inputs: Field required"),
        ({"inputs": []}, "the inputs must be one tensor, image or input, got none"),
        (one_picture(name="x"), "the inputs must be among image, input, got 'x'"),
        ({"inputs": [PICTURE, PICTURE]}, "one tensor, image or input, got image, image"),
        ({"inputs": [PICTURE, {**NUMBERS, "data": [0]}]}, "got image, input"),
        ({"inputs": [PICTURE] * 9}, "inputs: List should have at most 8 items"),
        (one_picture(datatype="FP32"), "datatype of the tensor image must be BYTES, got 'FP32'"),
        (one_picture(shape=[]), "tensor image must be [n] or [n, 1], got []"),
        (one_picture(shape=[1, 2]), "tensor image must be [n] or [n, 1], got [1, 2]"),
        (one_picture(shape=[0]), "must hold at least one image, got the shape [0]"),
        (one_picture(shape=[-1]), "inputs.0.shape.0: Input should be greater than or equal to 0, got -1"),
        (one_picture(shape=[1.5]), "inputs.0.shape.0: Input should be a valid integer, got 1.5"),
        (one_picture(shape=[True]), "inputs.0.shape.0: Input should be a valid integer, got True"),
        (one_picture(shape=[2**64]), "inputs.0.shape.0: Input should be less than or equal to"),
        (one_picture(shape=[1] * 9), "inputs.0.shape: List should have at most 8 items"),
        (one_picture(shape=[2]), "the tensor image must have 2 elements for its shape [2], got 1"),
        (one_picture(data=[3]), "element 0 of the tensor image must be text in base64"),
        (one_picture(data=["é"]), "element 0 of the tensor image must be base64"),
        (one_picture(data=[""]), "element 0 of the tensor image: the image is empty"),
        (one_picture(data=["aGVsbG8="]), "these bytes are none of them"),
        (one_picture(data=None), "must have either data or parameters.binary_data_size"),
        (one_picture(parameters={"binary_data_size": 4}), "must have either data or"),
        (one_array(data=[0.5] * 319), "must have 320 elements for its shape [1, 1, 20, 16], got 319"),
        (one_array(data=[["0.5"] * 320]), "must be flat, or nested as its shape [1, 1, 20, 16]"),
        (one_array(data=[[0.5] * 160, [0.5] * 160]), "must be flat, or nested as its shape"),
        (one_array(data=["0.5"] * 320), "values of the tensor input must be numbers in [0, 1]"),
        (one_array(data=[None] * 320), "values of the tensor input must be numbers in [0, 1]"),
        (one_array(data=[10**400] + [0] * 319), "values of the tensor input must be numbers in [0, 1]"),
        (one_array(data=[float("nan")] * 320), "must be numbers in [0, 1], got nan"),
        (one_array(data=[float("-inf")] * 320), "must be numbers in [0, 1], got -inf"),
        (one_array(shape=[1, 20, 16]), "must be [n, 1, 20, 16], got [1, 20, 16]"),
        (one_array(shape=[2**62, 1, 20, 15]), "must be [n, 1, 20, 16], got"),
        (
            {**one_picture(), "outputs": [{"name": "x"}]},
            "outputs must be among probabilities, theta, transformed, label, got 'x'",
        ),
        ({**one_picture(), "outputs": [{"name": "label"}] * 2}, "asked for once, got label 2 times"),
        ({**one_picture(), "outputs": [{"name": "label", "parameters": {"classification": 1}}]}, "got label"),
        ({**one_picture(), "outputs": [{"name": "label", "parameters": {"classification": -1}}]}, "got -1"),
        ({**one_picture(), "outputs": [{"name": "label", "parameters": {"binary_data": 1}}]}, "valid boolean, got 1"),
        ({**one_picture(), "parameters": {"timeout": "soon"}}, "parameters.timeout: Input should be a valid integer"),
        (
            {**one_picture(), "parameters": {"timeout": -5}},
            "parameters.timeout: Input should be greater than or equal to 0, got -5",
        ),
        ({**one_picture(), "id": 3}, "id: Input should be a valid string, got 3"),
    ],
)
def test_json_that_does_not_fit_is_refused_by_name(client: TestClient, request_: Any, message: str) -> None:
    check_refused(post(client, request_), message)


@pytest.mark.parametrize(
    ("request_", "binary", "message"),
    [
        (one_picture(), b"more", "the tensor image must have the 4 bytes behind the JSON"),
        (behind(PICTURE, 4), b"", "the tensor image must have the 0 bytes behind the JSON"),
        (behind(PICTURE, 8), strings(b""), "the tensor image must have the 4 bytes behind the JSON"),
        (behind(PICTURE, 3), b"abc", "element 0 of the tensor image must have its length in front as 4 bytes, got 3"),
        (
            behind(PICTURE, 5),
            b"\xff\xff\xff\xffa",
            "element 0 of the tensor image must be as long as it says, 4,294,967,295 bytes, got 1",
        ),
        (
            behind(PICTURE, 8),
            strings(b"", b""),
            "must have 1 elements for its shape [1], got 1 and 4 bytes behind them",
        ),
        (behind({**PICTURE, "shape": [3]}, 8), strings(b"", b""), "must have 3 elements for its shape [3], got 2"),
        (behind(PICTURE, 4), strings(b""), "element 0 of the tensor image: the image is empty"),
        (behind(NUMBERS, 1276), bytes(1276), "must have 1,280 bytes for its shape [1, 1, 20, 16], got 1,276"),
        (behind(NUMBERS, 1280), b"\x01\x00\x80\x7f" * 320, "must be numbers in [0, 1], got nan"),
        (
            behind(NUMBERS, -1280),
            bytes(1280),
            "binary_data_size: Input should be greater than or equal to 0, got -1280",
        ),
        (behind(NUMBERS, "1280"), bytes(1280), "binary_data_size: Input should be a valid integer"),
    ],
)
def test_bytes_behind_the_json_that_do_not_fit_are_refused_by_name(
    client: TestClient, request_: Any, binary: bytes, message: str
) -> None:
    check_refused(post(client, request_, binary), message)


@pytest.mark.parametrize(
    ("request_", "length", "message"),
    [
        (one_picture(), "x", f"{LENGTH} must be a number of bytes, got 'x'"),
        (one_picture(), "-1", f"{LENGTH} must be a number of bytes, got '-1'"),
        (one_picture(), "9" * 5000, f"{LENGTH} must be a number of bytes, got '{'9' * 32}'"),
        (b"{}", 3, f"{LENGTH} must be at most the 2 bytes of the body, got 3"),
    ],
)
def test_a_length_of_the_json_that_is_none_is_refused(
    client: TestClient, request_: Any, length: Any, message: str
) -> None:
    check_refused(post(client, request_, length=length), message)


def check_refused(answer: Response, message: str) -> None:
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert message in answer.json()["error"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, "label"])
)
VALUES = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=2)
)
NAMES = st.sampled_from(["image", "input", "probabilities", "theta", "transformed", "label"])
SIZES = st.sampled_from([[1], [1, 1], [2], [1, 1, 20, 16], [2**63 - 1], [2**62, 4, 1], []])


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The good values, and now and then anything."""
    return st.integers(0, 7).flatmap(lambda number: VALUES if number == 0 else good)


PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "binary_data_size": mostly(st.integers(0, 1300)),
        "binary_data": mostly(st.booleans()),
        "classification": mostly(st.integers(0, 5)),
        "binary_data_output": mostly(st.booleans()),
        "timeout": mostly(st.integers(0, 2**63)),
        "shared_memory_region": SCALARS,
    },
)
INPUTS = st.fixed_dictionaries(
    {
        "name": mostly(st.sampled_from(["image", "input"])),
        "shape": mostly(SIZES | st.lists(st.integers(-2, 2), max_size=5)),
        "datatype": mostly(st.sampled_from(["BYTES", "FP32"])),
    },
    optional={
        "parameters": mostly(PARAMETERS),
        "data": mostly(st.lists(SCALARS, max_size=3) | st.sampled_from([PICTURE["data"], [[0.5] * 320], [0.5] * 320])),
    },
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": mostly(st.lists(INPUTS, max_size=2))},
    optional={
        "id": mostly(st.text(max_size=5)),
        "parameters": mostly(PARAMETERS),
        "outputs": mostly(
            st.lists(st.fixed_dictionaries({"name": mostly(NAMES), "parameters": mostly(PARAMETERS)}), max_size=3)
        ),
    },
)
TEXTS = REQUESTS.map(lambda request: json.dumps(request).encode()) | st.binary(max_size=60)
BINARIES = st.just(b"") | st.binary(max_size=40) | st.sampled_from([strings(PNG), strings(PNG[:90]), PIXELS.tobytes()])
CODINGS = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=TEXTS,
    binary=BINARIES,
    shift=st.integers(-3, 3) | st.just(0) | st.none(),
    coding=st.sampled_from(["", "", "gzip", "deflate"]),
    claimed=st.sampled_from(["", "", "gzip", "deflate", "br"]),
    accepted=st.sampled_from(["", "gzip", "deflate;q=0.5, *;q=0"]),
)
def test_no_body_whatever_makes_the_service_fail(
    client: TestClient, text: bytes, binary: bytes, shift: int | None, coding: str, claimed: str, accepted: str
) -> None:
    headers = {"Content-Encoding": claimed, "Accept-Encoding": accepted}
    if shift is not None:
        headers[LENGTH] = str(len(text) + shift)
    answer = client.post(PATH, content=CODINGS[coding](text + binary), headers=headers)
    if answer.status_code != 200:
        assert answer.status_code in (400, 413, 415, 504)
        assert answer.json()["error"]


@settings(deadline=None, max_examples=150)
@given(cut=st.integers(0, 700), flips=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=4))
def test_a_damaged_request_is_refused_or_answered(client: TestClient, cut: int, flips: list[tuple[int, int]]) -> None:
    text = json.dumps({**behind(PICTURE, len(PNG) + 4), "outputs": [{"name": "label"}]}).encode()
    body = bytearray(text + strings(PNG))
    for place, value in flips:
        body[place % len(body)] = value
    answer = client.post(PATH, content=bytes(body[: len(body) - cut // 20]), headers={LENGTH: str(len(text))})
    assert answer.status_code in (200, 400, 413)
    assert label(post(client, {**one_picture(), "outputs": [{"name": "label"}]})) in CLASSES
