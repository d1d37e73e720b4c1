"""What the service says of pictures, as a program wants it."""

import base64
import io
import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from pydantic import BaseModel, ValidationError

from service.client.errors import ServiceError, error_for, unreadable
from service.problems import Problem
from service.schemas import Activation, FailedImage, ImagePrediction, Predictions, ProblemDocument

_Schema = TypeVar("_Schema", bound=BaseModel)


@dataclass(frozen=True, slots=True, eq=False)
class Theta:
    """The transform that straightened a picture: output to input, in normalised coordinates."""

    transform: str
    parameters: dict[str, float]
    matrix: Float32[np.ndarray, "rows 3"] | None
    """The rows [A | t] of p_in = A p_out + t, where the transform is a matrix; 3x3 where it is projective."""
    given: bool = False
    """Whether it is the one that was given, and not the network's own."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the service says of one picture; of a bad one only the `problem`."""

    class_name: str = ""
    """The most probable class."""
    probability: float = math.nan
    """Its probability."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """Of every class, in the model's order; with `top_k` of the most probable, in that order."""
    theta: Theta | None = None
    outline: Float32[np.ndarray, "n 2"] | None = None
    """Border of the sampled region as points (x, y) in pixels of the picture, clockwise from the one that becomes the upper
    left corner."""
    grid: Float32[np.ndarray, "h w 2"] | None = None
    """The point (x, y) in pixels of the picture that each pixel of the transformed image comes from."""
    width: int = 0
    """Of the picture as a viewer shows it, in pixels."""
    height: int = 0
    model: str = ""
    version: int = 0
    problem: ServiceError | None = None
    """Why there is no prediction."""
    answer: ImagePrediction | FailedImage | None = field(default=None, repr=False)
    """The answer's own entry."""

    @property
    def transformed_png(self) -> bytes | None:
        """What the class layers saw, as the bytes of a PNG."""
        return bytes_of(self.answer.transformed) if isinstance(self.answer, ImagePrediction) else None

    @property
    def transformed(self) -> Image.Image | None:
        """What the class layers saw."""
        return image_of(self.transformed_png)

    @property
    def transformed_array(self) -> UInt8[np.ndarray, "h w *rgb"] | None:
        """What the class layers saw: (height, width), or (height, width, 3) where it has colours."""
        image = self.transformed
        return None if image is None else np.asarray(image)

    @property
    def input(self) -> Image.Image | None:
        """What the network was shown."""
        return image_of(bytes_of(self.answer.input)) if isinstance(self.answer, ImagePrediction) else None

    @property
    def activations(self) -> list[Activation]:
        """What each layer gives, in the order of the network."""
        return (self.answer.activations or []) if isinstance(self.answer, ImagePrediction) else []


def read_predictions(response: httpx2.Response, count: int) -> list[Prediction]:
    """One prediction per picture, in order.

    Raises:
        ServiceError: this is no answer about so many pictures.
    """
    answer = read_json(Predictions, response)
    if len(answer.predictions) != count:
        raise unreadable(response, f"it has {len(answer.predictions)} predictions for {count} pictures")
    request_id = response.headers.get("x-request-id")
    return [
        _prediction(entry, answer)
        if isinstance(entry, ImagePrediction)
        else failed_prediction(error_for(entry.problem.status, entry.problem.detail, request_id))
        for entry in answer.predictions
    ]


def failed_prediction(problem: ServiceError) -> Prediction:
    """What stands for a picture that the service could not read."""
    document = Problem(problem.status or 0, problem.detail).document()
    answer = FailedImage(problem=ProblemDocument(**document, request_id=problem.request_id))
    return Prediction(problem=problem, answer=answer)


def only(predictions: list[Prediction]) -> Prediction:
    """The one prediction.

    Raises:
        ServiceError: it is of a bad picture, and this its problem.
    """
    (prediction,) = predictions
    if prediction.problem:
        raise prediction.problem
    return prediction


def read_json(schema: type[_Schema], response: httpx2.Response) -> _Schema:
    """The answer as an object of this kind; fields that a newer service adds are left out.

    Raises:
        ServiceError: it is not of this kind.
    """
    try:
        return schema.model_validate_json(response.content, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise unreadable(response, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _prediction(entry: ImagePrediction, answer: Predictions) -> Prediction:
    return Prediction(
        class_name=entry.class_name,
        probability=entry.probability,
        probabilities=entry.probabilities,
        theta=_theta(entry),
        outline=_array(entry.outline),
        grid=_array(entry.grid),
        width=entry.width,
        height=entry.height,
        model=answer.model,
        version=answer.version,
        answer=entry,
    )


def _theta(entry: ImagePrediction) -> Theta | None:
    theta = entry.theta
    if theta is None:
        return None
    return Theta(theta.transform, theta.parameters, _array(theta.matrix), theta.given is True)


def _array(values: list[Any] | None) -> Float32[np.ndarray, "..."] | None:
    return None if values is None else np.array(values, np.float32)


def bytes_of(uri: str | None) -> bytes | None:
    return None if uri is None else base64.b64decode(uri.partition(",")[2])


def image_of(data: bytes | None) -> Image.Image | None:
    return None if data is None else Image.open(io.BytesIO(data))
