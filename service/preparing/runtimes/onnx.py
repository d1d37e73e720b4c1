"""A network in ONNX Runtime; no torch is needed to serve it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float32

_UNDONE = "Pad_Fusion"
"""The optimisation that would take back what `service.preparing.margins` did."""


class OnnxNetwork:
    """Runs a graph that `service.preparing.prepare` wrote."""

    def __init__(self, path: Path, output_names: Sequence[str], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Threads that spin while they wait take the core that reads requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.output_names = list(output_names)
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], disabled_optimizers=[_UNDONE]
        )

    def __call__(
        self, images: Float32[np.ndarray, "b c h w"], theta: Float32[np.ndarray, "b p"] | None = None
    ) -> dict[str, np.ndarray]:
        inputs = {"images": images} if theta is None else {"images": images, "theta": theta}
        return dict(zip(self.output_names, self.session.run(self.output_names, inputs), strict=True))
