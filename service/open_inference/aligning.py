"""Inference by an aligner: two tensors of pictures in, theta and the confidence of each pair out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from service.models.served import ServedAligner
from service.open_inference.metadata import OF_A_CLASSIFIER, OF_AN_ALIGNER
from service.open_inference.request import HEADER_LENGTH, Inference, parse, split, wanted_outputs
from service.open_inference.schemas import ModelMetadata, RequestInput, TensorMetadata
from service.open_inference.tensors import read_numbers, write_tensor
from service.predicting.answers import Answer
from service.predicting.outputs import Outputs
from service.problems import Problem
from service.settings import Settings
from stn.model_info import DOES


def describe_aligner(served: ServedAligner, versions: Sequence[int]) -> ModelMetadata:
    """The metadata of one version of an aligner, of which there are these."""
    return ModelMetadata(
        name=served.name,
        versions=[str(number) for number in versions],
        platform="stn_safetensors",
        inputs=[TensorMetadata(name=name, datatype="FP32", shape=[-1, -1, -1, -1]) for name in OF_AN_ALIGNER],
        outputs=_outputs(served),
        properties={"parameter_names": orjson.dumps(served.parameter_names).decode()},
    )


def read_pairs(body: bytes, header_length: str | None, served: ServedAligner, settings: Settings) -> Inference:
    """What a request asks of an aligner; its images are pairs in grey, (2, H, W).

    Raises:
        Problem: 400 for what the protocol or the model does not allow, also for a flat picture; 413 for too much of it.
    """
    text, binary = split(body, header_length)
    request = parse(text, served, settings)
    outputs = wanted_outputs(request, [tensor.name for tensor in _outputs(served)])
    tensors = {tensor.name: tensor for tensor in request.inputs}
    if len(request.inputs) != 2 or tensors.keys() != set(OF_AN_ALIGNER):
        names = ", ".join(tensor.name[:64] for tensor in request.inputs) or "none"
        why = f": {DOES['align']}" if tensors.keys() & set(OF_A_CLASSIFIER) else ""
        raise Problem(400, f"the inputs must be the tensors moving and fixed, got {names}{why}")
    shape = tensors["fixed"].shape
    if len(shape) != 4 or tensors["moving"].shape != shape or shape[1] not in (1, 3) or min(shape) < 1:
        got = f"{tensors['moving'].shape} and {shape}"
        raise Problem(400, f"the tensors moving and fixed must both have a shape [n, 1 or 3, height, width], got {got}")
    if shape[0] > settings.max_images:
        raise Problem(413, f"one request may hold at most {settings.max_images} pairs, got {shape[0]:,}")
    found = [_grey(tensor, part) for tensor, part in _parts(request.inputs, binary)]
    pictures = dict(zip([tensor.name for tensor in request.inputs], found, strict=True))
    pairs = np.stack([pictures[name] for name in OF_AN_ALIGNER], axis=1)  # (N, 2, H, W)
    _check(pairs)
    timeout = request.parameters.timeout if request.parameters else None
    return Inference(list(pairs), outputs, request.id, timeout / 1e6 if timeout else math.inf)


def write_aligned(served: ServedAligner, inference: Inference, outputs: Outputs) -> Answer:
    """The wanted tensors in their order."""
    assert outputs.theta is not None
    values = {"theta": outputs.theta, "confidence": outputs.probabilities[:, 0]}
    described: list[dict[str, Any]] = []
    binaries = []
    for wanted in inference.outputs:
        array = values[wanted.name]
        tensor, binary = write_tensor(wanted.name, array, array.shape, wanted.is_binary)
        described.append(tensor)
        binaries.append(binary)
    answer: dict[str, Any] = {"model_name": served.name, "model_version": str(served.version), "outputs": described}
    if inference.id is not None:
        answer["id"] = inference.id
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(wanted.is_binary for wanted in inference.outputs):
        return Answer(text, "application/json")
    length = (HEADER_LENGTH.lower().encode(), str(len(text)).encode())
    return Answer(b"".join([text, *binaries]), "application/octet-stream", [length])


def _outputs(served: ServedAligner) -> list[TensorMetadata]:
    theta = TensorMetadata(name="theta", datatype="FP32", shape=[-1, len(served.parameter_names)])
    return [theta, TensorMetadata(name="confidence", datatype="FP32", shape=[-1])]


def _parts(inputs: Sequence[RequestInput], binary: bytes) -> list[tuple[RequestInput, bytes]]:
    """Each tensor with its bytes behind the JSON, which follow one another."""
    parts, start = [], 0
    for number, tensor in enumerate(inputs):
        size = (tensor.parameters.binary_data_size if tensor.parameters else None) or 0
        stop = len(binary) if number == len(inputs) - 1 else start + size  # what is left over is told of the last
        parts.append((tensor, binary[start:stop]))
        start = stop
    return parts


def _grey(tensor: RequestInput, binary: bytes) -> np.ndarray:
    if tensor.datatype != "FP32":
        raise Problem(400, f"the datatype of the tensor {tensor.name} must be FP32, got {tensor.datatype[:32]!r}")
    return np.asarray(read_numbers(tensor, binary)).mean(1, dtype=np.float32)


def _check(pairs: np.ndarray) -> None:
    import torch

    from stn.align_views import check_pair  # the model has brought torch

    both = torch.from_numpy(pairs)
    try:
        check_pair(both[:, :1], both[:, 1:])
    except ValueError as error:
        raise Problem(400, str(error)) from None
