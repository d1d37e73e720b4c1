"""Requests of the Open Inference Protocol V2 for the tests' tiny model, byte by byte."""

import base64
import json
from typing import Any

import numpy as np
from starlette.responses import Response
from starlette.testclient import TestClient

from tests.service.conftest import encode, picture

PATH = "/v2/models/tiny/infer"
LENGTH = "Inference-Header-Content-Length"
PNG = encode(picture())
PIXELS = np.random.default_rng(0).random((1, 1, 20, 16), np.float32)
PICTURE = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(PNG).decode()]}
NUMBERS = {"name": "input", "shape": [1, 1, 20, 16], "datatype": "FP32", "data": PIXELS.ravel().tolist()}


def one_picture(**changes: Any) -> dict[str, Any]:
    """A request with the one picture, apart from these fields of its tensor."""
    return {"inputs": [{**PICTURE, **changes}]}


def one_array(**changes: Any) -> dict[str, Any]:
    """A request with the pixels of one image, apart from these fields of their tensor."""
    return {"inputs": [{**NUMBERS, **changes}]}


def behind(tensor: dict[str, Any], size: Any) -> dict[str, Any]:
    """A request with one tensor, of which so many bytes are said to stand behind the JSON."""
    rest = {name: value for name, value in tensor.items() if name != "data"}
    return {"inputs": [{**rest, "parameters": {"binary_data_size": size}}]}


def strings(*elements: bytes) -> bytes:
    """A BYTES tensor."""
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def post(client: TestClient, request: Any, binary: bytes = b"", length: Any = None, **headers: str) -> Response:
    """The answer to a request, or to any bytes; what stands behind the JSON is declared unless a length is given."""
    text = request if isinstance(request, bytes) else json.dumps(request).encode()
    if length is None and binary:
        length = len(text)
    declared = {} if length is None else {LENGTH: str(length)}
    return client.post(PATH, content=text + binary, headers={**declared, **headers})


def parts(answer: Response) -> tuple[dict[str, Any], bytes]:
    """The JSON of an answer and what stands behind it."""
    assert answer.status_code == 200, answer.text
    length = int(answer.headers[LENGTH])
    return json.loads(answer.content[:length]), answer.content[length:]


def label(answer: Response) -> str:
    """The class of the first image."""
    assert answer.status_code == 200, answer.text
    return next(output["data"][0] for output in answer.json()["outputs"] if output["name"] == "label")
