"""From the body of an inference request to images for a network, and what is to be answered of them."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from service.models.served import Held, Served
from service.open_inference.metadata import OF_AN_ALIGNER, describe_inputs, describe_outputs
from service.open_inference.schemas import InferenceRequest, RequestInput, RequestOutput, RequestParameters
from service.open_inference.tensors import read_numbers, read_strings
from service.predicting.images import check_pixels, read_picture
from service.problems import Problem
from service.settings import Settings
from stn.model_info import DOES

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that gives the length of the JSON where bytes stand behind it. Nothing else does: Triton's client sends no
Content-Type."""


class WantedOutput(NamedTuple):
    """One tensor of the answer."""

    name: str
    is_binary: bool
    """Whether its data stand behind the JSON."""
    classes: int
    """So many of the most probable classes, as text; 0 for the tensor itself."""


class Inference(NamedTuple):
    """A request that was read."""

    images: list[np.ndarray]
    """Each (channels, height, width), bytes or float32 in [0, 1]."""
    outputs: list[WantedOutput]
    id: str | None
    seconds: float
    """The request's own limit; infinite where it has none."""


def read_inference(body: bytes, header_length: str | None, served: Served, settings: Settings) -> Inference:
    """What a request asks of a model.

    Args:
        body: no longer compressed.
        header_length: the value of the header of that name.

    Raises:
        Problem: 400 for what the protocol or the model does not allow, 413 for too much of it.
    """
    text, binary = split(body, header_length)
    if header_length is not None and not text:  # one picture and nothing else, which Triton calls a raw binary request
        request = InferenceRequest(inputs=[], parameters=RequestParameters(binary_data_output=True))
        return Inference(
            _decode([binary], served, settings),
            wanted_outputs(request, [tensor.name for tensor in describe_outputs(served)]),
            None,
            math.inf,
        )
    request = parse(text, served, settings)
    outputs = wanted_outputs(request, [tensor.name for tensor in describe_outputs(served)])
    images = _images(_only_input(request.inputs, served), binary, served, settings)
    timeout = request.parameters.timeout if request.parameters else None
    return Inference(images, outputs, request.id, timeout / 1e6 if timeout else math.inf)


def split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """The JSON and what stands behind it."""
    if header_length is None:
        return body, b""
    if not re.fullmatch(r"[0-9]{1,18}", header_length):
        raise Problem(400, f"{HEADER_LENGTH} must be a number of bytes, got {header_length[:32]!r}")
    length = int(header_length)
    if length > len(body):
        raise Problem(400, f"{HEADER_LENGTH} must be at most the {len(body):,} bytes of the body, got {length:,}")
    return body[:length], body[length:]


def parse(text: bytes, served: Held, settings: Settings) -> InferenceRequest:
    """The request in this JSON."""
    # A parsed value takes many times its bytes in memory, so there may be no more of them than a request can need:
    # a number for every channel of every pixel, and lists around the rows.
    most = 10_000 + 2 * settings.max_images * served.info.input.channels * math.prod(served.info.input.size)
    if sum(map(text.count, (b",", b"[", b"{"))) > most:
        raise Problem(413, f"the JSON of one request may hold at most {most:,} values")
    try:
        return InferenceRequest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, value = ".".join(map(str, first["loc"])) or "the body", first["input"]
        got = f", got {str(value)[:32]}" if isinstance(value, int | float) else ""
        raise Problem(400, f"the body must be an inference request; {place}: {first['msg']}{got}") from None


def _only_input(inputs: Sequence[RequestInput], served: Served) -> RequestInput:
    """The one tensor that a request must send, of the kind it must be."""
    known = {tensor.name: tensor for tensor in describe_inputs(served)}
    for tensor in inputs:
        if tensor.name not in known:
            why = f": {DOES['classify']}" if tensor.name in OF_AN_ALIGNER else ""
            raise Problem(400, f"the inputs must be among {', '.join(known)}, got {tensor.name[:64]!r}{why}")
    if len(inputs) != 1:
        names = ", ".join(tensor.name for tensor in inputs) or "none"
        raise Problem(400, f"the inputs must be one tensor, image or input, got {names}")
    wanted = known[inputs[0].name]
    if inputs[0].datatype != wanted.datatype:
        got = repr(inputs[0].datatype[:32])
        raise Problem(400, f"the datatype of the tensor {wanted.name} must be {wanted.datatype}, got {got}")
    return inputs[0]


def _images(tensor: RequestInput, binary: bytes, served: Served, settings: Settings) -> list[np.ndarray]:
    wanted = served.info.input
    shape = (wanted.channels, *wanted.size) if tensor.name == "input" else ()
    count, *rest = tensor.shape or [-1]
    if count < 0 or (tuple(rest) != shape and not (tensor.name == "image" and rest == [1])):
        rule = f"[n, {', '.join(map(str, shape))}]" if shape else "[n] or [n, 1]"
        raise Problem(400, f"the shape of the tensor {tensor.name} must be {rule}, got {tensor.shape}")
    if count == 0:
        raise Problem(400, f"the tensor {tensor.name} must hold at least one image, got the shape {tensor.shape}")
    if count > settings.max_images:
        raise Problem(413, f"one request may hold at most {settings.max_images} images, got {count:,}")
    if shape:
        return list(read_numbers(tensor, binary))
    return _decode(read_strings(tensor, binary), served, settings)


def _decode(pictures: Sequence[bytes], served: Served, settings: Settings) -> list[np.ndarray]:
    """The pixels of each picture; one that cannot be read is a Problem for them all, for the protocol knows no other."""
    check_pixels(pictures, settings.max_pixels, settings.max_request_pixels)
    images = []
    for index, picture in enumerate(pictures):
        try:
            images.append(read_picture(picture, served.info.input, settings.max_pixels).pixels)
        except Problem as problem:
            status = 413 if problem.status == 413 else 400
            raise Problem(status, f"element {index} of the tensor image: {problem.detail}") from None
    return images


def wanted_outputs(request: InferenceRequest, known: Sequence[str]) -> list[WantedOutput]:
    """What to answer, in order: all there is, which are these, where nothing is asked for."""
    parameters = request.parameters or RequestParameters()
    outputs = request.outputs or [RequestOutput(name=name) for name in known]
    names = [output.name for output in outputs]
    for name in names:
        if name not in known:
            raise Problem(400, f"the outputs must be among {', '.join(known)}, got {name[:64]!r}")
        if names.count(name) > 1:
            raise Problem(400, f"each output must be asked for once, got {name} {names.count(name)} times")
    return [_wanted_output(output, bool(parameters.binary_data_output)) for output in outputs]


def _wanted_output(output: RequestOutput, binary_by_default: bool) -> WantedOutput:
    given: Any = output.parameters
    if given is None:
        return WantedOutput(output.name, binary_by_default, 0)
    if given.shared_memory_region is not None:
        raise Problem(400, f"the output {output.name} must not name a shared_memory_region: there is none here")
    if given.classification and output.name != "probabilities":
        raise Problem(400, f"classification must be asked of probabilities, got {output.name}")
    is_binary = binary_by_default if given.binary_data is None else given.binary_data
    return WantedOutput(output.name, is_binary, given.classification or 0)
