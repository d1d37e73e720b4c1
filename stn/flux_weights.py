"""Weights to and from Flux: the same network, in Flux's layers, gives the same numbers.

An array's name is the layer's path in the network and Flux's name of the field: `features.0.weight`, `features.1.γ`.

| layer | torch | Flux |
|---|---|---|
| Conv | weight (out, in, kh, kw), slid as it is | weight (kw, kh, in, out), turned by half a turn before it is slid |
| Linear, `Dense` | weight (out, in) | the same |
| BatchNorm | weight, bias, running_mean, running_var | γ, β, μ, σ² |
| LayerNorm | weight, bias | diag.scale, diag.bias |
| ConvNeXt's layer_scale | (channels, 1, 1) | layer_scale.scale (1, 1, channels) |

theta's order is Julia's: the rows of the layer that predicts it are exchanged, so that `reshape(theta, 2, 3)` is the
matrix there (`reshape([theta; 1], 3, 3)` for a projective transform), and so that a similarity's theta is what
`stn.flux.transformer` takes: scale, shift in width, shift in height, angle. The columns of a class layer that reads theta
are exchanged with them. Flattening is the same on both sides: width runs fastest, then height, then channels.
"""  # noqa: RUF002 - Flux's names are Greek

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stn.classifiers import Classifier
from stn.flux import from_flux, to_flux
from stn.flux_files import StoredArray, open_arrays, write_arrays
from stn.model_info import ModelFileError
from stn.spatial_transformer import SpatialTransformer
from stn.transforms import Affine, Projective, Similarity, Transform

THETA_ORDERS: dict[type[Transform], tuple[int, ...]] = {
    Affine: (0, 3, 1, 4, 2, 5),
    Projective: (0, 3, 6, 1, 4, 7, 2, 5),
    Similarity: (0, 2, 3, 1),
}
"""Which entry of our theta each entry of Julia's is; the others' order is the same on both sides."""

_BATCH_NORM = {
    "weight": "\N{GREEK SMALL LETTER GAMMA}",
    "bias": "\N{GREEK SMALL LETTER BETA}",
    "running_mean": "\N{GREEK SMALL LETTER MU}",
    "running_var": "\N{GREEK SMALL LETTER SIGMA}\N{SUPERSCRIPT TWO}",
    "num_batches_tracked": "num_batches_tracked",
}
_LAYER_NORM = {"weight": "diag.scale", "bias": "diag.bias"}
_SAME = {"weight": "weight", "bias": "bias"}

_FIELDS: tuple[tuple[tuple[type[nn.Module], ...], dict[str, str]], ...] = (
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear), _SAME),
    ((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _BATCH_NORM),
    ((nn.LayerNorm,), _LAYER_NORM),
)

Change = Callable[[Tensor], Tensor]


class _Entry(NamedTuple):
    """One array of the state dict, and what becomes of it."""

    flux_name: str
    encode: Change
    decode: Change


def to_flux_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every array of the network by its name in Flux, in the shape and order it has there; copies.

    What Flux has no field for and a network needs for going on with its training, BatchNorm's num_batches_tracked, is
    there under its own name.

    Raises:
        ValueError: a layer with weights has no counterpart in Flux.

    >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 8, (3, 5)), torch.nn.BatchNorm2d(8))
    >>> {name: tuple(array.shape) for name, array in to_flux_weights(model).items() if name.startswith("0")}
    {'0.weight': (5, 3, 1, 8), '0.bias': (8,)}
    """
    state = model.state_dict()
    return {entry.flux_name: entry.encode(state[name].detach()).clone() for name, entry in _entries(model).items()}


def from_flux_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give the network these weights, which `to_flux_weights` or Flux gave; float32, and all of them or none.

    Raises:
        ValueError: a name, a shape or a type is not the network's, or a number is not finite.
    """
    _load(model, {name: _in_memory(array) for name, array in weights.items()})


def save_flux_weights(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Write the network's weights for Julia: `.safetensors`, `.jld2`, or `.h5` (the last two need the extra `flux`)."""
    write_arrays(path, to_flux_weights(model))


def load_flux_weights(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Give the network the weights in this file, which `save_flux_weights` or Julia wrote.

    Names, shapes and types are compared with the network's before memory is taken for any array.

    Raises:
        ModelFileError: the file is broken, or its arrays are not those of this network.
    """
    with open_arrays(path) as arrays:
        try:
            _load(model, arrays)
        except ModelFileError:
            raise
        except ValueError as error:
            raise ModelFileError(f"{path}: {error}") from None


def _load(model: nn.Module, arrays: Mapping[str, StoredArray]) -> None:
    entries, state = _entries(model), model.state_dict()
    _check(entries, state, arrays)
    loaded = {}
    for name, entry in entries.items():
        if entry.flux_name not in arrays:
            continue
        values = arrays[entry.flux_name].read()
        if not values.isfinite().all():
            raise ValueError(f"{entry.flux_name} must be finite, got NaN or infinity")
        loaded[name] = entry.decode(values).reshape(state[name].shape)
    model.load_state_dict({**state, **loaded})


def _check(entries: Mapping[str, _Entry], state: Mapping[str, Tensor], arrays: Mapping[str, StoredArray]) -> None:
    """A ValueError where these are not the arrays of this network; nothing is read."""
    names = {entry.flux_name for entry in entries.values()}
    needed = {name for name in names if not name.endswith("num_batches_tracked")}
    if wrong := sorted((needed - arrays.keys()) | (arrays.keys() - names)):
        raise ValueError(f"the arrays must be those of the network, got too many or too few ({_listed(wrong)})")
    for name, entry in entries.items():
        if entry.flux_name not in arrays:
            continue
        array, expected = arrays[entry.flux_name], entry.encode(state[name].detach().to("meta"))
        kind = {torch.float32: "Float32", torch.int64: "Int64"}[expected.dtype]
        if array.shape != tuple(expected.shape):
            raise ValueError(f"{entry.flux_name} must have size {tuple(expected.shape)}, got {array.shape}")
        if array.type != kind:
            raise ValueError(f"{entry.flux_name} must be of type {kind}, got {array.type}")


def _entries(model: nn.Module) -> dict[str, _Entry]:
    """What becomes of each array of the state dict, by its name there."""
    state = model.state_dict()
    orders = dict(_theta_orders(model))
    entries = {}
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        fields = _fields(module)
        for name in _own_names(state, prefix):
            if name not in fields:
                raise ValueError(f"{prefix}{name} must be of a layer that Flux has, got {type(module).__name__}")
            encode, decode = orders.get(prefix + name) or _changes(module, name, state[prefix + name])
            entries[prefix + name] = _Entry(prefix + fields[name], encode, decode)
    return entries


def _own_names(state: Iterable[str], prefix: str) -> list[str]:
    """The last parts of the names that belong to the module itself and not to one inside it."""
    return [name[len(prefix) :] for name in state if name.startswith(prefix) and "." not in name[len(prefix) :]]


def _fields(module: nn.Module) -> dict[str, str]:
    """Flux's names of the fields of a layer of this kind; ConvNeXt's scale is a bare parameter in torchvision."""
    for kinds, fields in _FIELDS:
        if isinstance(module, kinds):
            return fields
    return {"layer_scale": "layer_scale.scale"}


def _changes(module: nn.Module, name: str, values: Tensor) -> tuple[Change, Change]:
    """What makes Flux's array of this one, and what undoes it."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and name == "weight":
        sides = tuple(range(values.ndim - 2))
        return (lambda kernel: to_flux(kernel).flip(sides)), (lambda kernel: from_flux(kernel.flip(sides)))
    if values.ndim == 0:
        return (lambda number: number.reshape(1)), (lambda number: number.reshape(()))
    if isinstance(module, nn.Linear):
        return (lambda matrix: matrix), (lambda matrix: matrix)
    return to_flux, from_flux


def _theta_orders(model: nn.Module) -> Iterator[tuple[str, tuple[Change, Change]]]:
    """The changes for the layers that predict theta, and for a class layer that reads it, by name in the state dict."""
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        if isinstance(module, SpatialTransformer) and (order := THETA_ORDERS.get(type(module.transform))):
            layer, linear = _last_linear(module.localization, f"{prefix}localization")
            if linear.out_features != len(order):
                raise ValueError(f"{layer} must predict theta, {len(order)} numbers, got {linear.out_features}")
            yield f"{layer}.weight", _exchange(order, 0)
            yield f"{layer}.bias", _exchange(order, 0)
        if isinstance(module, Classifier) and module.transformer is not None and module.theta_to_classes:
            order = THETA_ORDERS.get(type(module.transformer.transform), ())
            layer, linear = _last_linear(module.classes, f"{prefix}classes")
            features = linear.in_features - len(order)
            yield f"{layer}.weight", _exchange((*range(features), *(features + index for index in order)), 1)


def _last_linear(module: nn.Module, path: str) -> tuple[str, nn.Linear]:
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not found:
        raise ValueError(f"{path} must have a dense layer at its end, got {type(module).__name__}")
    name, layer = found[-1]
    return (f"{path}.{name}" if name else path), layer


def _exchange(order: tuple[int, ...], axis: int) -> tuple[Change, Change]:
    back = sorted(range(len(order)), key=order.__getitem__)
    return (lambda values: _take(values, order, axis)), (lambda values: _take(values, back, axis))


def _take(values: Tensor, order: Iterable[int], axis: int) -> Tensor:
    return values.index_select(axis, torch.tensor(list(order), device=values.device))


def _in_memory(array: Tensor) -> StoredArray:
    kind = {torch.float32: "Float32", torch.int64: "Int64"}.get(array.dtype, str(array.dtype))
    return StoredArray(tuple(array.shape), kind, lambda: array)


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:5]) + (" ..." if len(names) > 5 else "")
