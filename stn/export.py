"""A network as one ONNX file, for runtimes that know nothing of torch.

Input `images` (B, C, H, W) in [0, 1], any B. Outputs `logits` (B, K) and, where the network has a transformer, `theta`
(B, P) and `transformed` (B, C, h, w), the images the class layers saw; the grid is a function of theta and is left out.
The file's metadata hold what a model file's hold (`stn.model_info`), so that it can be served alone.

The grid is one matrix product of theta's coefficients with a constant of the file, and the image is sampled without the
padding that makes the identity exact to the bit in torch: here it is exact to the rounding of float32.
"""

import copy
import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stn.classifiers import Classifier
from stn.model_info import ModelInfo, to_metadata
from stn.types import Images
from stn.whole_file import written_beside

OPSET = 18
"""The opset that torch writes without conversion; ONNX Runtime and OpenVINO read it."""


def export_onnx(model: Classifier, info: ModelInfo, path: str | os.PathLike[str]) -> None:
    """Write the network, in evaluation mode, as one ONNX file; complete or absent, whatever interrupts the writing.

    It needs the packages of the extra `export`; an ImportError says so where they are missing. The model is left as it is.
    """
    outputs = _Outputs(copy.deepcopy(model).cpu().float().eval())
    images = torch.zeros(2, info.input.channels, *info.input.size)
    export_graph(outputs, {"images": images}, _output_names(model), to_metadata(info), path)


def export_graph(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    output_names: Sequence[str],
    metadata: Mapping[str, str],
    path: str | os.PathLike[str],
) -> None:
    """Write any module that gives a tuple of tensors for a batch of any size, as `export_onnx` does.

    Args:
        module: on the CPU and in evaluation mode.
        inputs: what it takes, in order, by the names that they get; of at least two images each, and the graph takes any
            number of their size.
        output_names: of the tensors, in order.
        metadata: texts by name to put into the file.
    """
    _require_packages("onnx", "onnxscript")
    program = _to_onnx(module, inputs, output_names)
    for function_or_graph in (program.model.graph, *program.model.functions.values()):
        _forget_sources(function_or_graph)
    program.model.metadata_props.clear()
    program.model.metadata_props.update(metadata)
    with written_beside(path) as beside:
        program.save(beside, external_data=False)


class _Outputs(nn.Module):
    """The network with its outputs side by side, as a graph returns them."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Images) -> tuple[Tensor, ...]:
        logits, transformed = self.model(images)
        return (logits,) if transformed is None else (logits, transformed.theta, transformed.images)


def _to_onnx(module: nn.Module, inputs: Mapping[str, Tensor], output_names: Sequence[str]) -> torch.onnx.ONNXProgram:
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        graph = torch.export.export(module.eval(), tuple(inputs.values()), dynamic_shapes=({0: batch},) * len(inputs))
        program = torch.onnx.export(
            graph,
            dynamic_shapes=({0: "batch"},) * len(inputs),
            input_names=list(inputs),
            output_names=list(output_names),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program


def _output_names(model: Classifier) -> tuple[str, ...]:
    """The names of the ONNX file's outputs, in order."""
    return ("logits",) if model.transformer is None else ("logits", "theta", "transformed")


def _forget_sources(graph: Any) -> None:
    """Take out what the exporter notes of the source code: file names of the machine that it ran on."""
    graph.metadata_props.clear()
    for node in graph.all_nodes():
        node.metadata_props.clear()


def _require_packages(*names: str) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"to write ONNX, {' and '.join(missing)} must be installed: pip install 'stn[export]'")
