"""The margins of convolutions as nodes of their own."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from service.preparing.margins import with_margins
from service.preparing.runtimes.onnx import OnnxNetwork
from stn.export import export_graph


class Convolutions(nn.Module):
    """Padded in ways that differ, and not padded."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.Conv2d(4, 4, (3, 5), padding=(0, 3)), nn.Conv2d(4, 2, 3)
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.layers(images),)


@pytest.mark.slow
def test_with_margins_of_their_own_convolutions_give_the_same_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 1, 14, 9)
    export_graph(Convolutions(), {"images": images}, ["features"], {}, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.save(with_margins(model), tmp_path / "margins.onnx")
    found, expected = (OnnxNetwork(tmp_path / name, ["features"], 1) for name in ("margins.onnx", "model.onnx"))
    np.testing.assert_allclose(found(images.numpy())["features"], expected(images.numpy())["features"], atol=1e-6)
    kinds = [node.op_type for node in onnx.load(tmp_path / "margins.onnx").graph.node]
    assert kinds == ["Pad", "Conv", "Relu", "Pad", "Conv", "Conv"]
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu", "Conv", "Conv"]  # as it was
