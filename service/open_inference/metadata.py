"""What the protocol says of the server, and of a model's tensors."""

from collections.abc import Sequence
from importlib.metadata import version

import orjson

from service.models.served import Served
from service.open_inference.schemas import ModelMetadata, ServerMetadata, TensorMetadata

OF_A_CLASSIFIER, OF_AN_ALIGNER = ("image", "input"), ("moving", "fixed")
"""The tensors that a request sends: one of the first two, or the other two together."""
EXTENSIONS = ("binary_tensor_data", "classification")
"""Those of Triton's that are known here, by its names."""


def describe_server() -> ServerMetadata:
    """Name, version and extensions."""
    return ServerMetadata(name="stn", version=version("stn"), extensions=list(EXTENSIONS))


def describe_model(served: Served, versions: Sequence[int]) -> ModelMetadata:
    """The metadata of one version of a model, of which there are these."""
    return ModelMetadata(
        name=served.name,
        versions=[str(number) for number in versions],
        platform="stn_safetensors",
        inputs=describe_inputs(served),
        outputs=describe_outputs(served),
        properties={
            "class_names": orjson.dumps(served.info.class_names).decode(),
            "parameter_names": orjson.dumps(served.parameter_names).decode(),
        },
    )


def describe_inputs(served: Served) -> list[TensorMetadata]:
    """The tensors of which a request sends one."""
    wanted = served.info.input
    return [
        TensorMetadata(name=OF_A_CLASSIFIER[0], datatype="BYTES", shape=[-1]),
        TensorMetadata(name=OF_A_CLASSIFIER[1], datatype="FP32", shape=[-1, wanted.channels, *wanted.size]),
    ]


def describe_outputs(served: Served) -> list[TensorMetadata]:
    """The tensors that a request may ask for; without a transformer there is no theta."""
    info, parameters = served.info, len(served.parameter_names)
    size = info.input.size if info.config.transform == "none" else info.config.size or info.input.size
    theta = [TensorMetadata(name="theta", datatype="FP32", shape=[-1, parameters])] if parameters else []
    return [
        TensorMetadata(name="probabilities", datatype="FP32", shape=[-1, len(info.class_names)]),
        *theta,
        TensorMetadata(name="transformed", datatype="FP32", shape=[-1, info.input.channels, *size]),
        TensorMetadata(name="label", datatype="BYTES", shape=[-1]),
    ]
