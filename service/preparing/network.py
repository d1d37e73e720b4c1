"""A prepared model: the fastest runtime for each size of batch, opened when it is first needed."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Float32

from service.predicting.outputs import Outputs, outputs_of
from service.preparing.plan import Plan, Runtime

_Run = Callable[[np.ndarray], dict[str, np.ndarray]]


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
        self._details: _Run | None = None
        self._runs = {name: self._open(name) for name in sorted(set(plan.runtimes.values()))}

    def __call__(self, images: Float32[np.ndarray, "b c h w"], details: bool = False) -> Outputs:
        """The outputs for images in [0, 1]; with details on request, which another graph gives, more slowly."""
        run = self._run_details() if details else self._runs[self.plan.runtime(len(images))]
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

    def _run_details(self) -> _Run:
        with self._lock:
            if self._details is None:
                self._details = self._open_details()
            return self._details

    def _open_details(self) -> _Run:
        path = self.folder / "details.onnx"
        if path.exists():
            from service.preparing.runtimes.onnx import OnnxNetwork

            return OnnxNetwork(path, self.plan.detail_names, self.plan.threads)
        from service.preparing.runtimes.pytorch import EagerNetwork

        return EagerNetwork(self.path, self.plan.device, self.plan.threads, details=True)
