"""What Julia does, written out in Python, and arrays and networks to try it on.

NNlib's loops, a network of Flux's layers, and SafeTensors.jl's reading.
"""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import stn
from stn.flux import to_flux

IMAGES = stn.InputConfig(channels=1, height=10, width=12, mean=(0.2,), std=(0.4,))
TINY = stn.ModelConfig(
    transform="affine", filters=(3, 4), units=5, localization_filters=2, localization_units=4, size=(8, 6)
)


CORNERS = list(itertools.product((0, 1), repeat=2)), list(itertools.product((0, 1), repeat=3))


def nnlib(image: Tensor, grid: Tensor, padding: str, cotangent: Tensor | None = None) -> tuple[Tensor, ...]:
    """NNlib's `grid_sample` and `∇grid_sample` as they are written there: loops, positions counted from 1, float64."""
    *sides, channels, batch = image.shape
    output = torch.zeros(*grid.shape[1:-1], channels, batch, dtype=torch.float64)
    image_gradient, grid_gradient = torch.zeros_like(image), torch.zeros_like(grid)
    for place in itertools.product(*map(range, grid.shape[1:])):
        *point, n = place
        positions, slopes = [], []
        for axis, side in enumerate(sides):
            position = (float(grid[(axis, *place)]) + 1.0) * 0.5 * (side - 1.0) + 1.0
            slope = (side - 1.0) * 0.5
            if padding == "border":
                if position <= 1 or position >= side:
                    slope = 0.0
                position = min(side, max(1, position))
            positions.append(position)
            slopes.append(slope)
        low = [math.floor(position) for position in positions]
        for corner in CORNERS[len(sides) - 2]:
            pixel = [first + step for first, step in zip(low, corner, strict=True)]
            if not all(1 <= index <= side for index, side in zip(pixel, sides, strict=True)):
                continue
            parts = [1 - abs(position - index) for position, index in zip(positions, pixel, strict=True)]
            for c in range(channels):
                value = float(image[(*(index - 1 for index in pixel), c, n)])
                output[(*point, c, n)] += value * math.prod(parts)
                if cotangent is None:
                    continue
                factor = float(cotangent[(*point, c, n)])
                image_gradient[(*(index - 1 for index in pixel), c, n)] += factor * math.prod(parts)
                for axis, step in enumerate(corner):
                    others = math.prod(parts[:axis] + parts[axis + 1 :])
                    sign = 1 if step else -1
                    grid_gradient[(axis, *place)] += sign * slopes[axis] * value * others * factor
    return output, image_gradient, grid_gradient


def load_safetensors(path: Path) -> dict[str, np.ndarray]:
    """What SafeTensors.jl's function of this name gives: the shapes of the file, values in the file's order of rows."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    types = {"F32": "<f4", "I64": "<i8"}
    arrays = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        arrays[name] = np.frombuffer(data[start:end], types[entry["dtype"]]).reshape(entry["shape"])
    return arrays


class FluxLayers:
    """Flux's layers on float64 arrays (W, H, C, N), with the weights of a file by the layers' names."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def conv(self, name: str, x: np.ndarray, pad: int = 0) -> np.ndarray:
        """A true convolution: the kernel's last element meets the window's first pixel."""
        kernel = self.arrays[f"{name}.weight"]
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0), (0, 0)))
        kw, kh, _, out = kernel.shape
        y = np.zeros((x.shape[0] - kw + 1, x.shape[1] - kh + 1, out, x.shape[3]))
        for i, j, o in np.ndindex(*y.shape[:3]):
            for a, b in np.ndindex(kw, kh):
                y[i, j, o] += kernel[kw - 1 - a, kh - 1 - b, :, o] @ x[i + a, j + b]
        bias = self.arrays.get(f"{name}.bias")
        return y if bias is None else y + bias[:, None]

    def dense(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.arrays[f"{name}.weight"] @ x + self.arrays[f"{name}.bias"][:, None]

    def batch_norm(self, name: str, x: np.ndarray) -> np.ndarray:
        gamma, beta, mean, variance = (self.arrays[f"{name}.{field}"][:, None] for field in ("γ", "β", "μ", "σ²"))
        return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def pool(x: np.ndarray, how: str) -> np.ndarray:
    """Flux's MaxPool or MeanPool((2, 2)): what does not fill a window is left out."""
    width, height = x.shape[0] // 2, x.shape[1] // 2
    windows = x[: 2 * width, : 2 * height].reshape(width, 2, height, 2, *x.shape[2:])
    return windows.max(axis=(1, 3)) if how == "max" else windows.mean(axis=(1, 3))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def flatten(x: np.ndarray) -> np.ndarray:
    """Flux.flatten: Julia's memory order, the first axis fastest."""
    return x.reshape(-1, x.shape[-1], order="F")


def straighten(x: np.ndarray, theta: np.ndarray, width: int, height: int) -> np.ndarray:
    """The images sampled where theta (6, N) says, the grid being edge-aligned and NNlib's corner-aligned."""
    grid = np.zeros((2, width, height, x.shape[3]))
    for i, j, n in np.ndindex(width, height, x.shape[3]):
        point = np.array([(2 * i + 1) / width - 1, (2 * j + 1) / height - 1, 1.0])
        grid[:, i, j, n] = theta[:, n].reshape((2, 3), order="F") @ point
    sides = np.array(x.shape[:2], dtype=np.float64)[:, None, None, None]
    return nnlib(torch.from_numpy(x), torch.from_numpy(grid * sides / (sides - 1)), "zeros")[0].numpy()


def grid_of(points: list[tuple[float, ...]], *shape: int) -> Tensor:
    """The grid whose points, in Julia's order, are these."""
    return to_flux(torch.tensor(points, dtype=torch.float64).view(1, *reversed(shape), len(points[0])))


def flux_random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random numbers in an array of this shape and in Julia's memory order."""
    return to_flux(torch.rand(*reversed(shape), generator=torch.Generator().manual_seed(seed), dtype=dtype))


def random_model(config: stn.ModelConfig, images: stn.InputConfig, seed: int = 0) -> stn.Classifier:
    """A network without a single weight at its starting value."""
    model = stn.build_model(config, images, classes=3).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.dtype == torch.int64:
            tensor.fill_(7 + seed)
            continue
        tensor.add_((0.15 if ".theta." in name else 0.3) * torch.randn(tensor.shape, generator=generator))
        if "running_var" in name:
            tensor.abs_()
    return model


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """Equal to the bit, names and all."""
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
