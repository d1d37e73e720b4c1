"""What schemathesis cannot make up: pictures, a model and a data set, for it knows that a body is one but has none, and a
deadline that can be kept.

Only what fits the document is replaced; what is meant to be refused stays as it is.
"""

import base64
import contextlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import schemathesis
from PIL import Image
from schemathesis.core import NOT_SET
from schemathesis.core.parameters import ParameterLocation

LEAST_SECONDS = 5.0
"""A shorter deadline may pass, and 504 is then right."""


def _pictures() -> list[bytes]:
    noise = np.random.default_rng(0)
    pictures = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        for shape in ((20, 16), (1, 1, 3), (40, 90, 3)):
            file = io.BytesIO()
            Image.fromarray(noise.integers(0, 256, shape, dtype=np.uint8)).save(file, kind)
            pictures.append(file.getvalue())
    return pictures


PICTURES = _pictures()
MODEL = Path(os.environ["STN_CONTRACT_MODEL"]).read_bytes() if "STN_CONTRACT_MODEL" in os.environ else None
"""Without it, bodies stay what schemathesis makes of them: bytes that are no picture and no model."""


def _picture(made_up: Any) -> bytes:
    return PICTURES[zlib.crc32(repr(made_up).encode()) % len(PICTURES)]


def _with_pictures(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        return {"data": _picture(body)}
    if "images" in body:
        return {"json": {"images": [base64.b64encode(_picture(one)).decode() for one in body["images"]]}}
    return {"files": [("image", (f"{number}.png", _picture(one))) for number, one in enumerate(body["image"])]}


def _with_tensors(body: Any) -> dict[str, Any]:
    """A request that every model can answer: the picture itself, or JSON; the outputs vary."""
    number = zlib.crc32(repr(body).encode())
    if isinstance(body, bytes | str):
        return {"data": _picture(body), "headers": {"Inference-Header-Content-Length": "0"}}
    data = [base64.b64encode(_picture((number, place))).decode() for place in range(1 + number % 3)]
    outputs = OUTPUTS[: number % (len(OUTPUTS) + 1)]
    return {"json": {"id": str(number), "inputs": [{**IMAGE, "shape": [len(data)], "data": data}], "outputs": outputs}}


def _with_a_model(body: Any) -> dict[str, Any]:
    return {"files": {"file": ("model.safetensors", MODEL)}} if isinstance(body, dict) else {"data": MODEL}


def _with_a_dataset(body: Any) -> dict[str, Any]:
    return {"files": {"file": ("set.zip", DATASET)}} if isinstance(body, dict) else {"data": DATASET}


def _with_a_config(body: Any) -> dict[str, Any]:
    """Always the same, as idempotency keys want it; which numbers a config may have, the document does not say."""
    return {"json": {"preset": "digits"}}


def _with_known_data(body: Any) -> dict[str, Any]:
    """Which data sets there are, the document does not say."""
    return {
        "json": {**body, "data": {**body["data"], "name": "digits"}} if (body.get("data") or {}).get("name") else body
    }


def _dataset() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, data in enumerate(PICTURES[:6]):
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", data)
    return file.getvalue()


DATASET = _dataset()
IMAGE = {"name": "image", "datatype": "BYTES"}
OUTPUTS: list[dict[str, Any]] = [
    {"name": "label"},
    {"name": "probabilities", "parameters": {"classification": 2}},
    {"name": "transformed", "parameters": {"binary_data": True}},
]
BODIES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "POST /v1/predict": _with_pictures,
    "POST /v1/models": _with_a_model,
    "POST /v1/datasets": _with_a_dataset,
    "POST /v1/jobs": _with_a_config,
    "POST /v1/models/{name}/invariance": _with_known_data,
    "POST /v2/models/{name}/infer": _with_tensors,
    "POST /v2/models/{name}/versions/{version}/infer": _with_tensors,
}
ABOUT_THE_BODY = ("Content-Encoding", "Inference-Header-Content-Length")
"""Headers that are true of the body made up, if of any."""


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    with_files = BODIES.get(case.operation.label) if MODEL and case.meta and case.body is not NOT_SET else None
    if with_files and not case.meta.is_negative_at(ParameterLocation.BODY):
        given = with_files(case.body)
        for name in ABOUT_THE_BODY:
            case.headers.pop(name, None)
        case.headers.update(given.pop("headers", {}))
        kwargs.update(given)
    if "/infer" in case.path and case.path_parameters.get("name") == "align":
        case.path_parameters["name"] = "tiny"  # which inputs and outputs a model has, the document does not say
    if case.path.endswith("/invariance"):
        case.headers.pop("Idempotency-Key", None)  # it wants the same body each time
    if case.query.get("theta") and case.meta and not case.meta.is_negative_at(ParameterLocation.QUERY):
        case.query["theta"] = "identity"  # how many numbers a model takes, the document does not say
    if str(case.query.get("follow")).lower() in ("true", "1", "yes", "on", "t", "y"):
        case.query["follow"] = "false"  # nobody runs the jobs whose end it would wait for
    with contextlib.suppress(KeyError, ValueError):
        if 0 < float(case.headers["X-Request-Timeout"]) < LEAST_SECONDS:
            case.headers["X-Request-Timeout"] = str(LEAST_SECONDS)
