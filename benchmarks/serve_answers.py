"""Whether servers that answer in words of their own say the same of a picture."""

import base64
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from alike import TOLERANCE
from PIL import Image


class Said(NamedTuple):
    """What an answer says."""

    name: str
    probabilities: list[float]
    theta: list[float]
    transformed: np.ndarray
    """Pixels, 0 to 255."""


def read(answer: Mapping[str, Any]) -> Said:
    """What this service's answer, or a peer's, says of its only picture."""
    if "predictions" in answer:
        (answer,) = answer["predictions"]
        theta = list(answer["theta"]["parameters"].values())
    else:
        theta = answer["theta"]
    picture = Image.open(io.BytesIO(base64.b64decode(answer["transformed"].partition(",")[2])))
    pixels = np.array(picture, dtype=np.int16)
    return Said(answer["class"], list(answer["probabilities"].values()), theta, pixels)


def check_same(name: str, found: Said, expected: Said) -> None:
    """Stops where the server of this name says something else; a rounding may change a pixel by one."""
    same = (
        found.name == expected.name
        and np.allclose(found.probabilities, expected.probabilities, rtol=0, atol=TOLERANCE)
        and np.allclose(found.theta, expected.theta, rtol=0, atol=TOLERANCE)
        and found.transformed.shape == expected.transformed.shape
        and np.abs(found.transformed - expected.transformed).max() <= 1
    )
    if not same:
        raise SystemExit(f"{name} gives another answer:\n{found}\n{expected}")
