"""Convolutions of padded images as ONNX Runtime computes them fastest where images are narrow: padded before.

Its kernels compute output pixels several at a time where the window lies within the image, and one by one at its sides: 4
columns of each row of a 5x5 convolution, of 14 or of 28.
"""

import numpy as np
import onnx


def with_margins(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model in which the margin of every convolution is a node of its own; the numbers are the same to the bit."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for node in changed.graph.node:
        pads = next((list(each.ints) for each in node.attribute if each.name == "pads"), [])
        if node.op_type == "Conv" and any(pads):
            nodes.append(_margin(changed.graph, node, pads))
        nodes.append(node)
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    return changed


def _margin(graph: onnx.GraphProto, node: onnx.NodeProto, pads: list[int]) -> onnx.NodeProto:
    """The node that pads what this convolution takes, which no longer does."""
    axes = len(pads) // 2
    sizes = np.array([0, 0, *pads[:axes], 0, 0, *pads[axes:]], np.int64)  # none of the batch and the channels
    output = f"{node.output[0]}.padded"
    graph.initializer.append(onnx.numpy_helper.from_array(sizes, f"{output}.by"))
    margin = onnx.helper.make_node("Pad", [node.input[0], f"{output}.by"], [output])
    node.input[0] = output
    for attribute in list(node.attribute):
        if attribute.name == "pads":
            node.attribute.remove(attribute)
    return margin
