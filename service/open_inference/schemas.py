"""The JSON of the Open Inference Protocol V2, as far as it means anything here; what else a client sends is ignored."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

_Count = Annotated[StrictInt, Field(ge=0, le=2**63 - 1)]

_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
"""One black pixel in base64."""


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="ignore", frozen=True, protected_namespaces=())


class RequestParameters(_Schema):
    """How a request is to be answered."""

    timeout: _Count | None = None
    """Microseconds until the answer is 504; 0 for the service's own limit, which also bounds it."""
    binary_data_output: StrictBool | None = None
    """Whether outputs are answered as bytes behind the JSON, where they do not say so themselves."""


class InputParameters(_Schema):
    """How the data of an input are sent."""

    binary_data_size: _Count | None = None
    """Bytes of this tensor behind the JSON, instead of `data`."""


class OutputParameters(_Schema):
    """How an output is answered."""

    binary_data: StrictBool | None = None
    """Whether its data are bytes behind the JSON."""
    classification: _Count | None = None
    """Of `probabilities`: so many of the most probable classes, as text `value:index:class`, instead of all numbers."""
    shared_memory_region: Any = None
    """Refused: there is no shared memory."""


class RequestInput(_Schema):
    """A tensor that is sent."""

    name: str
    """`image` or `input`."""
    shape: Annotated[list[_Count], Field(max_length=8)]
    """Of `image` [n] or [n, 1]; of `input` [n, channels, height, width]."""
    datatype: str
    """BYTES of `image`, FP32 of `input`."""
    parameters: InputParameters | None = None
    data: list[Any] | None = None
    """Flat or nested, row by row: pictures in base64, or numbers in [0, 1]."""


class RequestOutput(_Schema):
    """A tensor that is asked for."""

    name: str
    parameters: OutputParameters | None = None


class InferenceRequest(_Schema):
    """Images for a model, and what is to be answered of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "42",
                    "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [_PNG]}],
                    "outputs": [{"name": "label"}, {"name": "probabilities", "parameters": {"classification": 2}}],
                }
            ]
        }
    )

    id: str | None = None
    """Given back in the answer."""
    parameters: RequestParameters | None = None
    inputs: Annotated[list[RequestInput], Field(max_length=8)]
    """One tensor: `image` or `input`."""
    outputs: Annotated[list[RequestOutput], Field(max_length=8)] | None = None
    """What to answer, in this order; everything where it is left out or empty."""


class BinarySize(_Schema):
    """Where the data of an answered tensor are."""

    binary_data_size: int
    """Bytes of this tensor behind the JSON, instead of `data`."""


class AnsweredOutput(_Schema):
    """A tensor of the answer."""

    name: str
    shape: list[int]
    datatype: str
    parameters: BinarySize | None = None
    data: list[float | str] | None = None
    """Flat, row by row."""


class InferenceAnswer(_Schema):
    """What the model says of the images."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_name": "handwriting",
                    "model_version": "1",
                    "id": "42",
                    "outputs": [
                        {"name": "label", "shape": [1], "datatype": "BYTES", "data": ["6"]},
                        {
                            "name": "probabilities",
                            "shape": [1, 2],
                            "datatype": "BYTES",
                            "data": ["0.964414:6:6", "0.010571:8:8"],
                        },
                    ],
                }
            ]
        }
    )

    model_name: str
    model_version: str
    id: str | None = None
    """The request's, where it had one."""
    outputs: list[AnsweredOutput]


class TensorMetadata(_Schema):
    """A tensor that a model takes or gives."""

    name: str
    datatype: str
    shape: list[int]
    """-1 stands for the number of images."""


class ModelMetadata(_Schema):
    """What a model takes and gives."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "handwriting",
                    "versions": ["1"],
                    "platform": "stn_safetensors",
                    "inputs": [
                        {"name": "image", "datatype": "BYTES", "shape": [-1]},
                        {"name": "input", "datatype": "FP32", "shape": [-1, 1, 42, 42]},
                    ],
                    "outputs": [
                        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
                        {"name": "theta", "datatype": "FP32", "shape": [-1, 6]},
                        {"name": "transformed", "datatype": "FP32", "shape": [-1, 1, 42, 42]},
                        {"name": "label", "datatype": "BYTES", "shape": [-1]},
                    ],
                    "properties": {"class_names": '["0","1"]', "parameter_names": '["xx","xy","x0","yx","yy","y0"]'},
                }
            ]
        }
    )

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    """One of them is to be sent: `image`, encoded pictures, or `input`, pixels in [0, 1]."""
    outputs: list[TensorMetadata]
    properties: dict[str, str]
    """As JSON: `class_names` in the order of `probabilities`, `parameter_names` in the order of `theta`."""


class ServerMetadata(_Schema):
    """The server and the extensions of the protocol that it knows."""

    name: str
    version: str
    extensions: list[str]


class ModelReady(_Schema):
    """Whether a model answers."""

    name: str
    ready: bool
