"""What a network says of images, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8


@dataclass(slots=True, eq=False)
class Outputs:
    """All that an answer is made of, for a batch of images."""

    probabilities: Float32[np.ndarray, "b k"]
    transformed: Float32[np.ndarray, "b c h_out w_out"]
    """The images that the class layers saw: the input itself where there is no transformer."""
    theta: Float32[np.ndarray, "b p"] | None
    matrix: Float32[np.ndarray, "b rows 3"] | None
    """[A | t] where the transform is a matrix: p_in = A p_out + t in normalised coordinates; 3x3, with a division by the
    last coordinate, where it is projective."""
    outline: Float32[np.ndarray, "b n 2"]
    """The border of the sampled region in normalised input coordinates, clockwise from the upper left corner: four
    corners where its sides are straight."""
    details: Mapping[str, Float32[np.ndarray, "b ..."]] = field(default_factory=dict)
    """On request: `grid` (b, h_out, w_out, 2), and what each layer gives, by the layer's name."""
    transformed_bytes: UInt8[np.ndarray, "b c h_out w_out"] | None = None
    """The transformed images in 8 bits, where that was made of the whole batch before."""

    def rows(self, start: int, stop: int) -> "Outputs":
        """Those of the images from one place up to another."""

        part = slice(start, stop)
        return Outputs(
            self.probabilities[part],
            self.transformed[part],
            None if self.theta is None else self.theta[part],
            None if self.matrix is None else self.matrix[part],
            self.outline[part],
            {name: values[part] for name, values in self.details.items()} if self.details else self.details,
            None if self.transformed_bytes is None else self.transformed_bytes[part],
        )

    def in_bytes(self) -> UInt8[np.ndarray, "b c h_out w_out"]:
        """The transformed images in 8 bits."""
        return to_bytes(self.transformed) if self.transformed_bytes is None else self.transformed_bytes


def to_bytes(images: Float32[np.ndarray, "b c h w"]) -> UInt8[np.ndarray, "b c h w"]:
    """Images in [0, 1] in 8 bits."""
    return np.rint(np.minimum(np.maximum(images, 0), 1) * np.float32(255)).astype(np.uint8)


WHOLE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], dtype=np.float32)
"""The outline of an image that is not transformed."""


def outputs_of(images: Float32[np.ndarray, "b c h w"], arrays: Mapping[str, np.ndarray]) -> Outputs:
    """Outputs from what a runtime gives by name (`service.preparing.runtimes.answering`)."""
    rest = {name: values for name, values in arrays.items() if name not in _MAIN}
    return Outputs(
        arrays["probabilities"],
        arrays.get("transformed", images),
        arrays.get("theta"),
        arrays.get("matrix"),
        arrays["outline"] if "outline" in arrays else np.broadcast_to(WHOLE, (len(images), 4, 2)),
        rest,
    )


_MAIN = frozenset({"probabilities", "transformed", "theta", "matrix", "outline"})
