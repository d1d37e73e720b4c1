"""From what a network says of the images of an inference request to the body of the answer."""

from collections.abc import Sequence

import numpy as np
import orjson
from jaxtyping import Float32

from service.models.served import Served
from service.open_inference.request import HEADER_LENGTH, Inference, WantedOutput
from service.open_inference.tensors import write_tensor
from service.predicting.answers import Answer
from service.predicting.outputs import Outputs


def write_answer(served: Served, inference: Inference, outputs: Outputs) -> Answer:
    """The wanted tensors in their order, as JSON, or bytes behind the JSON where one of them is to be."""
    described, binaries = [], []
    for wanted in inference.outputs:
        tensor, binary = _write(served, wanted, outputs)
        described.append(tensor)
        binaries.append(binary)
    answer = {"model_name": served.name, "model_version": str(served.version), "outputs": described}
    if inference.id is not None:
        answer["id"] = inference.id
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(wanted.is_binary for wanted in inference.outputs):
        return Answer(text, "application/json")
    headers = [(HEADER_LENGTH.lower().encode(), str(len(text)).encode())]
    return Answer(b"".join([text, *binaries]), "application/octet-stream", headers)


def _write(served: Served, wanted: WantedOutput, outputs: Outputs) -> tuple[dict[str, object], bytes]:
    names = served.info.class_names
    if wanted.classes:
        count = min(wanted.classes, len(names))
        ranked = _most_probable(outputs.probabilities, names, count)
        return write_tensor(wanted.name, ranked, [len(outputs.probabilities), count], wanted.is_binary)
    if wanted.name == "label":
        labels = [names[index] for index in outputs.probabilities.argmax(-1)]
        return write_tensor(wanted.name, labels, [len(labels)], wanted.is_binary)
    values = {
        "probabilities": outputs.probabilities,
        "theta": outputs.theta,
        "transformed": outputs.transformed,
    }[wanted.name]
    assert values is not None
    return write_tensor(wanted.name, values, values.shape, wanted.is_binary)


def _most_probable(probabilities: Float32[np.ndarray, "b k"], names: Sequence[str], count: int) -> list[str]:
    """`value:index:class` of the so many most probable classes of each image, one image after the other."""
    order = np.argsort(-probabilities, axis=-1, kind="stable")[:, :count]
    return [
        f"{row[index]:.6f}:{index}:{names[index]}"
        for row, indices in zip(probabilities, order, strict=True)
        for index in indices
    ]
