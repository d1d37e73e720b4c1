"""What the layers of a network give for an image, as an answer shows it."""

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from service.predicting.images import data_uri, png
from service.predicting.outputs import to_bytes
from service.preparing.plan import Layer

MOST_VALUES = 4096
"""Of the units of a dense layer, the first so many are told."""


def describe_layer(layer: Layer, values: Float32[np.ndarray, "..."]) -> dict[str, Any]:
    """What a layer gives for one image: a picture with a tile for each channel, or the values of its units."""
    entry = {
        "layer": layer.name,
        "kind": layer.kind,
        "shape": list(values.shape),
        "of": layer.of,
        "minimum": values.min(),
        "maximum": values.max(),
    }
    sees = layer.sees and asdict(layer.sees)
    if values.ndim == 1:
        return {**entry, "values": np.ascontiguousarray(values[:MOST_VALUES]), "sees": sees}
    low, high = values.min((1, 2)), values.max((1, 2))
    columns = int(np.ceil(np.sqrt(len(values))))
    return {
        **entry,
        "ranges": np.stack([low, high], axis=1),
        "columns": columns,
        "image": data_uri(png(_tiles(values, low, high, columns))),
        "sees": sees,
    }


def _tiles(
    values: Float32[np.ndarray, "c h w"], low: Float32[np.ndarray, " c"], high: Float32[np.ndarray, " c"], columns: int
) -> UInt8[np.ndarray, "1 rows columns"]:
    """The channels side by side, each on the scale of its own range."""
    count, height, width = values.shape
    span = np.where(high > low, high - low, 1)
    rows = -(-count // columns)
    tiles = np.zeros((rows * columns, height, width), np.uint8)
    tiles[:count] = to_bytes(((values - low[:, None, None]) / span[:, None, None])[:, None])[:, 0]
    return tiles.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(1, rows * height, columns * width)
