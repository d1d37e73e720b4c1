"""A prepared model: the fastest runtime for each size of batch, opened when it is first needed."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from jaxtyping import Float32

from service.predicting.outputs import Outputs, outputs_of
from service.preparing.plan import Plan, Runtime

Other = Literal["details", "given"]
"""The graphs beside the one that most requests pass through: with details, and with a theta that the request gives."""
_Run = Callable[..., dict[str, np.ndarray]]
"""Takes images, and maybe theta."""


class ServedNetwork:
    """Images in, outputs out.

    Args:
        path: the model file, which torch's own runtime reads.
        folder: what `service.preparing.prepare` made of it.
        plan: likewise.
    """

    def __init__(self, path: Path, folder: Path, plan: Plan) -> None:
        self.path, self.folder, self.plan = path, folder, plan
        self._lock = Lock()
        self._others: dict[str, _Run] = {}
        self._runs = {name: self._open(name) for name in sorted(set(plan.runtimes.values()))}

    def __call__(
        self,
        images: Float32[np.ndarray, "b c h w"],
        details: bool = False,
        theta: Float32[np.ndarray, "b p"] | None = None,
    ) -> Outputs:
        """The outputs for images in [0, 1].

        Args:
            details: whether they hold them; another graph gives them, more slowly.
            theta: that of each image instead of the network's own; again another graph, which gives the details, too.
        """
        if theta is not None:
            return outputs_of(images, {**self._other("given")(images, theta), "theta": theta})
        run = self._other("details") if details else self._runs[self.plan.runtime(len(images))]
        return outputs_of(images, run(images))

    def _open(self, name: Runtime) -> _Run:
        if name == "onnxruntime":
            from service.preparing.runtimes.onnx import OnnxNetwork

            return OnnxNetwork(self.folder / "model.onnx", self.plan.output_names, self.plan.threads)
        from service.preparing.runtimes.pytorch import CompiledNetwork, EagerNetwork

        if name == "eager":
            return EagerNetwork(self.path, self.plan.device, self.plan.threads)
        path = self.folder / "model.pt2"
        return CompiledNetwork(path, self.plan.output_names, self.plan.device, self.plan.threads)

    def _other(self, name: Other) -> _Run:
        with self._lock:
            if name not in self._others:
                self._others[name] = self._open_other(name)
            return self._others[name]

    def _open_other(self, name: Other) -> _Run:
        path = self.folder / f"{name}.onnx"
        if path.exists():
            from service.preparing.runtimes.onnx import OnnxNetwork

            names = self.plan.given_names if name == "given" else self.plan.detail_names
            return OnnxNetwork(path, names, self.plan.threads)
        from service.preparing.runtimes.pytorch import EagerNetwork

        layers = [layer.name for layer in self.plan.layers]
        return EagerNetwork(self.path, self.plan.device, self.plan.threads, layers, given=name == "given")
