"""The JSON of requests and answers."""

from pydantic import BaseModel, ConfigDict, Field


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
    request_id: str | None = None
    """Also in the header `X-Request-Id` and in the server's log."""


class Theta(_Schema):
    """The transform that straightened the image: output to input, in normalised coordinates (-1 to 1, edge to edge)."""

    transform: str
    parameters: dict[str, float]
    matrix: list[list[float]] | None
    """The rows [A | t] of p_in = A p_out + t, where the transform is a matrix; of 3x3, with a division by the third
    coordinate, where it is projective."""


class Activation(_Schema):
    """What one layer gives for an image."""

    layer: str
    """Its name in the network."""
    shape: list[int]
    """(channels, height, width), or (units,)."""
    minimum: float
    """What black stands for in the image."""
    maximum: float
    """What white stands for; the scale between is linear."""
    columns: int
    """Channels, or units, in one row of the image."""
    image: str
    """Channels side by side, row by row, or one pixel per unit, as a PNG in a data URI."""


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

    images: list[str] = Field(min_length=1, examples=[["iVBORw0KGgo..."]])
    """Each a PNG, JPEG, WebP, GIF or BMP in base64, with or without `data:image/...;base64,` in front."""


class ModelVersion(_Schema):
    """One version of a model."""

    version: int
    classifier: str
    transform: str | None
    channels: int
    height: int
    width: int
    class_names: list[str]
    scores: dict[str, float]
    provenance: dict[str, str]


class Model(_Schema):
    """A model and its versions."""

    name: str
    default_version: int
    """The one that answers when a request names none."""
    versions: list[ModelVersion]


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
