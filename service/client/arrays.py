"""What the service says of many pictures, as arrays with a row for each."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from zipfile import BadZipFile

import httpx2
import numpy as np
from jaxtyping import Float32

from service.client.errors import ServiceError, error_for, unreadable

_TEXTS = ("class_names", "model", "problems")


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """What the service says of pictures; a row of each array for each of them, NaN where a picture is bad."""

    problems: list[ServiceError | None]
    """Why a picture has no prediction, in its place."""
    probabilities: Float32[np.ndarray, "b k"] | None
    """None, as are all the others, where every picture is bad."""
    class_names: tuple[str, ...] = ()
    """The k classes."""
    model: str = ""
    version: int = 0
    included: dict[str, Float32[np.ndarray, "b ..."]] = field(default_factory=dict)
    """What was asked for, by name: `transformed` (b, c, h, w) in [0, 1], `theta` (b, p), `matrix` (b, rows, 3), `outline`
    (b, n, 2) and `grid` (b, h, w, 2) in pixels of the picture, `input` (b, c, h, w), `activations.LAYER`."""


def read_arrays(response: httpx2.Response, count: int) -> list[Arrays]:
    """The one answer, if it has so many rows.

    Raises:
        ServiceError: this is no answer about so many pictures.
    """
    try:
        with np.load(io.BytesIO(response.content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        texts = {name: arrays.pop(name) for name in _TEXTS}
        statuses = arrays.pop("statuses")
        model, _, version = str(texts["model"]).rpartition("/")
        number = int(version)
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise unreadable(response, f"no arrays of predictions ({error})") from None
    if any(len(values) != count for values in (texts["problems"], statuses, *arrays.values())):
        raise unreadable(response, f"its arrays do not have {count} rows")
    request_id = response.headers.get("x-request-id")
    problems = [
        error_for(int(status), str(text), request_id) if text else None
        for text, status in zip(texts["problems"], statuses, strict=True)
    ]
    class_names = tuple(map(str, texts["class_names"]))
    return [Arrays(problems, arrays.pop("probabilities", None), class_names, model, number, arrays)]


def failed_arrays(problem: ServiceError) -> Arrays:
    """What stands for a picture that the service could not read."""
    return Arrays([problem], None)


def joined(parts: Sequence[Arrays]) -> Arrays:
    """The answers to several requests as one.

    Raises:
        ServiceError: they come from different versions of a model, which was replaced meanwhile.
    """
    whole = [part for part in parts if part.probabilities is not None]
    problems = [problem for part in parts for problem in part.problems]
    if not whole:
        return Arrays(problems, None)
    first = whole[0]
    for part in whole:
        if (part.model, part.version) != (first.model, first.version):
            said = " and ".join(f"{one.model}/{one.version}" for one in (first, part))
            raise ServiceError(
                None, f"the model was replaced between two requests ({said}); ask again, or name a version"
            )
    probabilities = _joined([(part.probabilities, len(part.problems)) for part in parts])
    included = {
        name: _joined([(part.included.get(name), len(part.problems)) for part in parts]) for name in first.included
    }
    return Arrays(problems, probabilities, first.class_names, first.model, first.version, included)


def _joined(parts: Sequence[tuple[Float32[np.ndarray, "_ ..."] | None, int]]) -> Float32[np.ndarray, "_ ..."]:
    """The rows of all parts; of a part that has none, rows of NaN."""
    shape = next(values.shape[1:] for values, _ in parts if values is not None)
    return np.concatenate(
        [np.full((count, *shape), math.nan, np.float32) if values is None else values for values, count in parts]
    )
