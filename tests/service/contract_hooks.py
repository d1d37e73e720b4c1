"""Files for the requests that schemathesis makes up: it knows that a body is a picture or a model, but has none.

Only what fits the document is replaced; what is meant to be refused stays as it is.
"""

import base64
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import schemathesis
from PIL import Image
from schemathesis.core import NOT_SET
from schemathesis.core.parameters import ParameterLocation


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
MODEL = Path(os.environ["STN_CONTRACT_MODEL"]).read_bytes()


def _picture(made_up: Any) -> bytes:
    return PICTURES[zlib.crc32(repr(made_up).encode()) % len(PICTURES)]


def _pictures_in(body: Any) -> Any:
    if not isinstance(body, dict):
        return _picture(body)
    if "images" in body:
        return {"images": [base64.b64encode(_picture(one)).decode() for one in body["images"]]}
    return {"image": [_picture(one) for one in body["image"]]}


def _model_in(body: Any) -> Any:
    return {"file": MODEL} if isinstance(body, dict) else MODEL


BODIES: dict[str, Callable[[Any], Any]] = {"POST /v1/predict": _pictures_in, "POST /v1/models": _model_in}


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    fill = BODIES.get(case.operation.label)
    if fill and case.body is not NOT_SET and not (case.meta and case.meta.is_negative_at(ParameterLocation.BODY)):
        case.body = fill(case.body)
