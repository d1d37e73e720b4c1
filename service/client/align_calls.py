"""The request about two pictures, and how its answer is read; nothing is sent here."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx2
import numpy as np
import orjson
from jaxtyping import Float32
from PIL import Image

from service.client.calls import Call
from service.client.images import ImageLike, encoded
from service.client.predictions import Theta, bytes_of, image_of, read_json
from service.schemas import AlignedTheta, Alignment


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Where a picture lies on another; see `POST /v1/align`."""

    theta: Theta
    """From points of the fixed picture to points of the moving one, in normalised coordinates of each."""
    inverse: Theta | None
    """The other way; None where theta cannot be undone."""
    outline: Float32[np.ndarray, "n 2"]
    """What of the moving picture lies on the fixed one, in pixels of the moving one."""
    placed: Float32[np.ndarray, "n 2"] | None
    """Where the moving picture lies, in pixels of the fixed one."""
    confidence: float
    """In [0, 1]: how probable it is that points lie on average within 3 % of the picture's side of where they belong."""
    refined: bool
    """Whether the descent that was asked for made it better."""
    notes: list[str]
    """What was done to bring the pictures together."""
    model: str
    version: int
    answer: Alignment = field(repr=False)
    """The answer itself."""

    @property
    def warped(self) -> Image.Image | None:
        """The moving picture laid on the fixed one."""
        return image_of(bytes_of(self.answer.warped))

    @property
    def overlay(self) -> Image.Image | None:
        """The fixed picture in red over the warped one in cyan."""
        return image_of(bytes_of(self.answer.overlay))

    @property
    def grid(self) -> Float32[np.ndarray, "h w 2"] | None:
        """The point of the moving picture for every pixel of the fixed one, in pixels of the moving one."""
        return None if self.answer.grid is None else np.array(self.answer.grid, np.float32)


def align(
    moving: ImageLike,
    fixed: ImageLike,
    model: str | None,
    version: int | None,
    refine: float,
    include: str | Iterable[str] | None,
) -> Call[Aligned]:
    """The request; the arguments are those of `Client.align`."""
    names = include if include is None or isinstance(include, str) else ",".join(include)
    given = {"model": model, "version": version, "refine": refine or None, "include": names}
    query: dict[str, str | list[str]] = {name: str(value) for name, value in given.items() if value is not None}
    pictures = {"moving": encoded(moving), "fixed": encoded(fixed)}
    body = orjson.dumps({name: base64.b64encode(data).decode() for name, data in pictures.items()})
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return Call("POST", "/v1/align", _aligned, query, headers, body)


def _aligned(response: httpx2.Response) -> Aligned:
    answer = read_json(Alignment, response)
    return Aligned(
        theta=_theta(answer.theta),
        inverse=None if answer.inverse is None else _theta(answer.inverse),
        outline=np.array(answer.outline, np.float32),
        placed=None if answer.placed is None else np.array(answer.placed, np.float32),
        confidence=answer.confidence,
        refined=answer.refined,
        notes=answer.notes,
        model=answer.model,
        version=answer.version,
        answer=answer,
    )


def _theta(theta: AlignedTheta) -> Theta:
    matrix = None if theta.matrix is None else np.array(theta.matrix, np.float32)
    return Theta(theta.transform, theta.parameters, matrix)
