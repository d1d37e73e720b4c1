"""Requests of the Open Inference Protocol V2 that do not fit, and any bytes at all: refused by name, never a failure."""

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.testclient import TestClient

from tests.service.conftest import CLASSES
from tests.service.open_inference.requests import (
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


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (b"", "the body must be an inference request; the body: Invalid JSON"),
        (b"[]", "the body must be an inference request; the body: Input should be an object"),
        (b"{}", "inputs: Field required"),
        ({"inputs": []}, "the inputs must be one tensor, image or input, got none"),
        (one_picture(name="x"), "the inputs must be among image, input, got 'x'"),
        (one_picture(name="moving"), "got 'moving': this model names what a picture shows (task classify)"),
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


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, ""])
VALUES = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=2)
)
LIKELY = st.sampled_from(
    [0, 1, -1, 2**63 - 1, 0.5, True, "image", "input", "label", "FP32", "BYTES", "aGVsbG8=", [1], []]
)
VALID = [
    (one_picture(), b""),
    (one_array(), b""),
    (one_array(data=PIXELS.tolist()), b""),
    (behind(PICTURE, len(PNG) + 4), strings(PNG)),
    (behind({**PICTURE, "shape": [2, 1]}, 2 * len(PNG) + 8), strings(PNG, PNG)),
    (behind(NUMBERS, PIXELS.nbytes), PIXELS.tobytes()),
]
REST = {
    "id": "1",
    "parameters": {"timeout": 10**7, "binary_data_output": True, "mine": 1},
    "outputs": [
        {"name": "probabilities", "parameters": {"classification": 2, "binary_data": False}},
        {"name": "theta", "parameters": {"binary_data": True}},
        {"name": "label"},
    ],
}
CODINGS = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the parts of a JSON value stand."""
    if isinstance(value, dict | list):
        items = list(value.items() if isinstance(value, dict) else enumerate(value))[:4]
        return [place, *(found for key, part in items for found in places(part, (*place, key)))]
    return [place]


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """The same value with another part at this place."""
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = replaced(copy[place[0]], place[1:], new)
    return copy


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The JSON of a request and what stands behind it, with a few parts that are something else."""
    request, binary = draw(st.sampled_from(VALID))
    if draw(st.booleans()):
        request = {**request, **REST}
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2]))):
        request = replaced(request, draw(st.sampled_from(places(request))), draw(LIKELY | VALUES))
    if draw(st.integers(0, 3)) == 0:
        start = draw(st.integers(0, len(binary)))
        binary = binary[:start] + draw(st.binary(max_size=9)) + binary[start + draw(st.integers(0, 9)) :]
    return json.dumps(request).encode(), binary


# The type checks in the service's threads draw random numbers, also after the answer is there.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=bodies() | st.tuples(st.binary(max_size=60), st.just(b"")),
    shift=st.sampled_from([0] * 9 + [-2, -1, 1, 10**6]),
    coding=st.sampled_from(["", "", "gzip", "deflate"]),
    claimed=st.sampled_from([None] * 9 + ["", "gzip", "deflate", "br"]),
    accepted=st.sampled_from(["", "gzip", "deflate;q=0.5, *;q=0"]),
)
def test_no_body_whatever_makes_the_service_fail(
    client: TestClient, body: tuple[bytes, bytes], shift: int, coding: str, claimed: str | None, accepted: str
) -> None:
    text, binary = body
    headers = {"Content-Encoding": coding if claimed is None else claimed, "Accept-Encoding": accepted}
    if binary or shift:
        headers[LENGTH] = str(len(text) + shift)
    answer = client.post(PATH, content=CODINGS[coding](text + binary), headers=headers)
    if answer.status_code != 200:
        assert answer.status_code in (400, 413, 415, 504)
        assert answer.json()["error"]
    good = post(client, {**one_picture(), "outputs": [{"name": "label"}]})
    assert label(good) in CLASSES
