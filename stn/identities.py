"""The parameters of theta and where they start, known without torch: for programs that only read model files."""

from collections.abc import Mapping

from stn.config import ModelConfig

_AFFINE = {"xx": 1.0, "xy": 0.0, "x0": 0.0, "yx": 0.0, "yy": 1.0, "y0": 0.0}

IDENTITIES: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "affine": _AFFINE,
    "attention": {"scale": 1.0, "x0": 0.0, "y0": 0.0},
    "similarity": {"scale": 1.0, "angle": 0.0, "x0": 0.0, "y0": 0.0},
    "translation": {"x0": 0.0, "y0": 0.0},
    "rigid": {"angle": 0.0, "x0": 0.0, "y0": 0.0},
    "projective": {**_AFFINE, "wx": 0.0, "wy": 0.0},
}
"""For each transform but the thin-plate spline, whose parameters depend on its lattice."""


def identity_of(config: ModelConfig) -> dict[str, float]:
    """The identity theta of the network's transform by parameter, in their order; empty without a transformer.

    It is `Transform.identity` of the transform that the config describes.
    """
    if config.transform != "thin_plate_spline":
        return dict(IDENTITIES[config.transform])
    rows, columns = (_spread(count) for count in config.lattice)
    return {
        f"{axis}{i}_{j}": value
        for i, y in enumerate(rows)
        for j, x in enumerate(columns)
        for axis, value in (("x", x), ("y", y))
    }


def _spread(count: int) -> list[float]:
    """So many numbers from -1 to 1."""
    return [(2 * index + 1 - count) / (count - 1) for index in range(count)]
