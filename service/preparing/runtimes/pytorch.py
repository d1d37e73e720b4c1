"""A network in torch: as it is, or compiled ahead of time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from service.preparing.runtimes.answering import Answering
from stn import load_model


class EagerNetwork:
    """Runs the network of a model file as it is, in channels last, on a device.

    The arguments `layers` and `given` are those of `Answering`.
    """

    def __init__(
        self, path: Path, device: str, threads: int, layers: Sequence[str] | None = None, given: bool = False
    ) -> None:
        torch.set_num_threads(threads)
        self.device = device
        network = Answering(load_model(path), layers, given)
        self.network = network.eval().to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(
        self, images: Float32[np.ndarray, "b c h w"], theta: Float32[np.ndarray, "b p"] | None = None
    ) -> dict[str, np.ndarray]:
        batch = torch.from_numpy(images).to(self.device).contiguous(memory_format=torch.channels_last)
        given = None if theta is None else torch.from_numpy(theta).to(self.device)
        return dict(zip(self.network.output_names, map(_to_array, self.network(batch, given)), strict=True))


class CompiledNetwork:
    """Runs what torch's compiler made of the network."""

    def __init__(self, path: Path, output_names: tuple[str, ...], device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.device = device
        self.output_names = output_names
        self.program = torch._inductor.aoti_load_package(str(path), run_single_threaded=True)

    @torch.inference_mode()
    def __call__(
        self, images: Float32[np.ndarray, "b c h w"], theta: Float32[np.ndarray, "b p"] | None = None
    ) -> dict[str, np.ndarray]:
        assert theta is None  # only a graph of ONNX and torch as it is take one
        outputs = self.program(torch.from_numpy(images).to(self.device))
        return dict(zip(self.output_names, map(_to_array, outputs), strict=True))


def compile_network(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    """Write what torch's compiler makes of the network, for any number of images of this size."""
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},))
        torch._inductor.aoti_compile_and_package(program, package_path=str(path))


def _to_array(values: torch.Tensor) -> np.ndarray:
    return values.contiguous().cpu().numpy()
