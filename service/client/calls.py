"""The requests of a client, and how their answers are read; nothing is sent here."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx2
import numpy as np
from pydantic import ValidationError

from service.client.arrays import Arrays, failed_arrays, read_arrays
from service.client.errors import NoAnswer, ServiceError, TooLarge, WrongRequest, error_of
from service.client.images import Body, form
from service.client.predictions import Prediction, failed_prediction, read_json, read_predictions
from service.client.retries import Lost, Repeat
from service.predicting.options import PredictOptions
from service.schemas import Model, Models, ModelVersion

T = TypeVar("T")

ThetaLike = str | Iterable[float] | np.ndarray
"""`identity`, or the numbers of a transform."""
Content = bytes | Path | Callable[[], Iterator[bytes]]
"""A body, the file it is in, or what gives its pieces from the beginning at each call."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and what is made of its answer."""

    method: str
    path: str
    read: Callable[[httpx2.Response], T]
    """The result of a good answer."""
    query: Mapping[str, str | list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    content: Content = b""
    repeat: Repeat = "lost"

    def result(self, outcome: httpx2.Response | Lost) -> T:
        """The result.

        Raises:
            ServiceError: there is none.
        """
        if isinstance(outcome, Lost):
            what = str(outcome.error) or type(outcome.error).__name__
            raise NoAnswer(None, f"the answer broke off ({what})" if outcome.began else f"there is no answer ({what})")
        if not outcome.is_success:
            raise error_of(outcome)
        return self.read(outcome)


@dataclass(frozen=True, slots=True)
class AnswerKind(Generic[T]):
    """One way in which predictions are answered."""

    accept: str
    read: Callable[[httpx2.Response, int], list[T]]
    """From an answer about so many pictures."""
    failed: Callable[[ServiceError], T]
    """What stands for a picture alone that the service could not read."""


PREDICTIONS: AnswerKind[Prediction] = AnswerKind("application/json", read_predictions, failed_prediction)
ARRAYS: AnswerKind[Arrays] = AnswerKind("application/x-npz", read_arrays, failed_arrays)


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is to be said of pictures."""

    query: dict[str, str]
    kind: AnswerKind[T]

    def about(self, images: Sequence[bytes]) -> Call[list[T]]:
        """The request about these."""
        body = Body(images[0], "application/octet-stream") if len(images) == 1 else form(images)
        headers = {"Accept": self.kind.accept, "Content-Type": body.kind}
        count = len(images)
        return Call(
            "POST", "/v1/predict", lambda answer: self.kind.read(answer, count), self.query, headers, body.content
        )


def question(
    kind: AnswerKind[T],
    model: str | None,
    version: int | None,
    top_k: int | None,
    include: str | Iterable[str] | None,
    theta: ThetaLike | None,
) -> Question[T]:
    """A question with these options of `/v1/predict`; ValueError names the one that is wrong."""
    names = include if include is None or isinstance(include, str) else ",".join(include)
    numbers = theta if theta is None or isinstance(theta, str) else ",".join(str(float(value)) for value in theta)
    given = {"model": model, "version": version, "top_k": top_k, "include": names, "theta": numbers}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        PredictOptions.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(
            f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}"
        ) from None
    return Question({name: str(value) for name, value in given.items()}, kind)


def asked_again(images: Sequence[bytes], refusal: WrongRequest) -> list[Sequence[bytes]]:
    """The smaller requests to make instead of one that was refused; none where it had one picture, which is then bad.

    Raises:
        WrongRequest: as it was, where smaller requests are refused as well.
    """
    if len(images) == 1:
        return []
    if not isinstance(refusal, TooLarge):
        raise refusal
    half = len(images) // 2
    return [images[:half], images[half:]]


def models() -> Call[Models]:
    return Call("GET", "/v1/models", lambda answer: read_json(Models, answer))


def model(name: str) -> Call[Model]:
    return Call("GET", model_path(name), lambda answer: read_json(Model, answer))


def upload(path: Path, name: str) -> Call[ModelVersion]:
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
    return Call(
        "POST", "/v1/models", lambda answer: read_json(ModelVersion, answer), {"name": name}, headers, path, "refused"
    )


def set_default(name: str, version: int | None) -> Call[Model]:
    body = f'{{"version": {"null" if version is None else int(version)}}}'.encode()
    headers = {"Content-Type": "application/json"}
    path = f"{model_path(name)}/default"
    return Call("PUT", path, lambda answer: read_json(Model, answer), {}, headers, body, "refused")


def delete(name: str, version: int | None) -> Call[None]:
    path = model_path(name) if version is None else f"{model_path(name)}/versions/{int(version)}"
    return Call("DELETE", path, lambda _: None, repeat="refused")


def ready() -> Call[bool]:
    return Call("GET", "/v2/health/ready", lambda _: True, repeat="never")


def model_path(name: str) -> str:
    if not name:
        raise ValueError("name must be that of a model, got ''")
    return "/v1/models/" + quote(name, safe="").replace(".", "%2E")  # never a path of its own
