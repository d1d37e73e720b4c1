"""The JSON of requests and answers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class ProblemDocument(_Schema):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    """What to mend."""
    error: str
    """The detail again, for clients of the inference protocol V2."""
    state: str | None = None
    """Of the job, where it is its state that forbids what was asked (409)."""
    request_id: str | None = None
    """Also in the header `X-Request-Id` and in the server's log."""


class Theta(_Schema):
    """The transform that straightened the image: output to input, in normalised coordinates (-1 to 1, edge to edge)."""

    transform: str
    parameters: dict[str, float]
    matrix: list[list[float]] | None
    """The rows [A | t] of p_in = A p_out + t, where the transform is a matrix; of 3x3, with a division by the third
    coordinate, where it is projective."""
    given: Literal[True] | None = None
    """Whether the request gave it, in `theta`; left out where it is the network's own."""


class Sees(_Schema):
    """The rectangle that unit (i, j) of a layer looks at, in pixels of the image, all (vertical, horizontal).

    Its upper left corner is start + (i, j) stride; it may reach beyond the image, where there is padding.
    """

    size: list[int]
    stride: list[int]
    start: list[int]


class Activation(_Schema):
    """What one layer gives for an image."""

    layer: str
    """Its name in the network."""
    kind: Literal["convolution", "pooling", "dense"]
    shape: list[int]
    """(channels, height, width), or (units,)."""
    of: Literal["input", "transformed"]
    """The image that it looks at: what the network was shown, or what its class layers saw."""
    minimum: float
    """The smallest of its values."""
    maximum: float
    ranges: list[list[float]] | None = None
    """Of each channel: what black stands for in its tile, and what white does; the scale between is linear. Left out, as are
    `columns` and `image`, where there are `values`."""
    columns: int | None = None
    """Tiles in one row of the image."""
    image: str | None = None
    """A tile for each channel, side by side, row by row, as a PNG in a data URI."""
    values: list[float] | None = None
    """Of a dense layer: one for each unit, of at most the first 4,096."""
    sees: Sees | None = None
    """What each unit looks at; null where that is all of the image, or not known."""


class ImagePrediction(_Schema):
    """What the network says of one image."""

    class_name: str = Field(alias="class")
    """The most probable class."""
    probability: float
    """Its probability."""
    probabilities: dict[str, float]
    """The probability of every class by its name, in the order of the model's `class_names`; with `top_k` only of the most
    probable, in that order."""
    theta: Theta | None = None
    """None where the model has no transformer."""
    outline: list[list[float]] | None = None
    """The border of the sampled region as points (x, y) in pixels of the posted image, clockwise from the one that becomes
    the upper left corner; four corners, or more points where its sides are bent. (0, 0) is the image's upper left edge."""
    width: int
    """Of the posted image, in pixels, as a viewer shows it."""
    height: int
    transformed: str | None = None
    """What the class layers saw, as a PNG in a data URI."""
    grid: list[list[list[float]]] | None = None
    """For every pixel of the transformed image, row by row, the point (x, y) in pixels of the posted image it comes from."""
    activations: list[Activation] | None = None
    """What each layer gives, in the order of the network."""
    input: str | None = None
    """What the network was shown: the picture brought to its input size, as a PNG in a data URI."""


class FailedImage(_Schema):
    """One image of several that could not be read; the others are answered."""

    problem: ProblemDocument


class Predictions(_Schema):
    """The answer to `/v1/predict`: one entry per image, in the order they were sent."""

    model: str
    version: int
    predictions: list[ImagePrediction | FailedImage]


class Base64Images(_Schema):
    """Pictures in a JSON body."""

    images: list[str] = Field(min_length=1)
    """Each a PNG, JPEG, WebP, GIF or BMP in base64, with or without `data:image/...;base64,` in front."""


class AlignedTheta(_Schema):
    """A map from points to points, both in normalised coordinates of their picture: -1 and 1 are its edges."""

    transform: str
    parameters: dict[str, FiniteFloat]
    matrix: list[list[FiniteFloat]] | None
    """[A | t], or 3x3 where a division by the last coordinate follows; None where the transform is no matrix."""


class Alignment(_Schema):
    """Where a picture lies on another."""

    model: str
    version: int
    confidence: FiniteFloat
    """In [0, 1]: how probable it is that points lie on average within 3 % of the picture's side of where they belong."""
    refined: bool
    """Whether the descent that was asked for made it better."""
    theta: AlignedTheta
    """From points of the fixed picture to points of the moving one."""
    inverse: AlignedTheta | None
    """The other way; None where theta cannot be undone."""
    outline: list[tuple[FiniteFloat, FiniteFloat]]
    """What of the moving picture lies on the fixed one, as points (x, y) in pixels of the moving one."""
    placed: list[tuple[FiniteFloat, FiniteFloat]] | None
    """Where the moving picture lies, in pixels of the fixed one."""
    width: int
    """Of the fixed picture and all that has its size."""
    height: int
    notes: list[str]
    """What was done to bring the pictures together."""
    warped: str | None = None
    """The moving picture laid on the fixed one, a PNG as a data URI."""
    overlay: str | None = None
    """The fixed picture in red over the warped one in cyan."""
    grid: list[list[tuple[FiniteFloat, FiniteFloat]]] | None = None
    """The point of the moving picture for every pixel of the fixed one, in pixels of the moving one."""


class ModelVersion(_Schema):
    """One version of a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "handwriting",
                    "version": 3,
                    "default": True,
                    "state": "loaded",
                    "reason": None,
                    "runtimes": {"1": "onnxruntime", "8": "onnxruntime", "32": "eager"},
                    "bytes": 1543288,
                    "sha256": "0f3a5be1c2d4",
                    "registered": "2026-03-01T12:00:00Z",
                    "last_used": "2026-03-01T12:34:56Z",
                    "task": "classify",
                    "classifier": "cnn",
                    "transform": "translation",
                    "parameter_names": ["x0", "y0"],
                    "identity": [0.0, 0.0],
                    "channels": 1,
                    "height": 28,
                    "width": 28,
                    "fit": "pad",
                    "output_height": 20,
                    "output_width": 20,
                    "class_names": ["0", "1"],
                    "scores": {"accuracy": 0.99},
                    "provenance": {"seed": "0"},
                }
            ]
        }
    )

    model: str
    """Its model's name."""
    version: int
    default: bool
    """Whether it answers when a request names the model and no version."""
    state: Literal["loaded", "loading", "on disk", "refused"]
    """`loaded`: it is in memory; `on disk`: it is loaded when it is asked for; `refused`: it cannot be."""
    reason: str | None = None
    """Why its file is refused. Where the state is `loaded`, what lay there before goes on being served."""
    runtimes: dict[int, str]
    """What runs batches of up to so many images; empty where it is not in memory."""
    bytes: int
    """Size of its file."""
    sha256: str | None
    """First 12 digits of the hash of what is in memory."""
    registered: datetime
    """When its file was written."""
    last_used: datetime | None
    """When it was asked for last, or loaded; None where it is not in memory."""
    task: Literal["classify", "align"] = "classify"
    """`classify`: it names what a picture shows; `align`: it lays one picture on another."""
    classifier: str | None
    """None where it does not classify."""
    transform: str | None
    parameter_names: list[str]
    """Of theta, in order; none without a transformer."""
    identity: list[float]
    """The theta that leaves a picture as it is."""
    channels: int
    height: int
    """Of the network's input, in pixels."""
    width: int
    fit: Literal["pad", "crop", "stretch"]
    """How a picture of another size is brought to its own: on black, cut at the edges, or out of proportion."""
    output_height: int
    """Of the transformed image."""
    output_width: int
    class_names: list[str]
    """Empty where it does not classify."""
    scores: dict[str, float]
    provenance: dict[str, str]


class Model(_Schema):
    """A model and its versions."""

    name: str
    default_version: int | None
    """The one that answers when a request names none; None where all are refused."""
    pinned_version: int | None
    """The one that was chosen to be the default; None where it is the newest."""
    versions: list[ModelVersion]


class DefaultVersion(_Schema):
    """Which version of a model is to answer when a request names none."""

    version: int | None = Field(ge=1, le=999_999_999, examples=[1])
    """None (null) for the newest, also of those that are still to come."""

    @field_validator("version", mode="before")
    @classmethod
    def _is_no_other_kind(cls, value: object) -> object:
        if isinstance(value, (bool, str)):
            raise ValueError("must be a whole number or null")
        return value


class RefusedFile(_Schema):
    """A file in the models folder that is not served."""

    file: str
    reason: str


class Models(_Schema):
    """All models of the service."""

    default_model: str | None
    """The one that answers when a request names none."""
    models: list[Model]
    refused: list[RefusedFile]


class Live(_Schema):
    """The process runs."""

    live: bool = True


class Ready(_Schema):
    """Requests are answered."""

    ready: bool = True
