"""The layers of a network whose outputs are shown, in the order in which they run, and the part of the image each unit sees.

What a unit sees is followed from tensor to tensor: through convolutions, pooling and what works on every value alone; rows
and columns may be cut at their ends. What comes out of anything else, such as the sum of two branches, is taken to see all
of the image.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from service.preparing.plan import Layer, LayerKind, Sees, Shown
from stn import Classifier, Normalise
from stn.types import Images

_KINDS: dict[type[nn.Module], LayerKind] = {
    nn.Conv2d: "convolution",
    nn.MaxPool2d: "pooling",
    nn.AvgPool2d: "pooling",
    nn.Linear: "dense",
}
"""Layers whose outputs are worth looking at; batch norm and ReLU follow them."""
_EACH_ALONE = (
    *(nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU),
    *(nn.BatchNorm2d, nn.Dropout, nn.Identity, Normalise),
)
"""What gives for every place of every channel something that depends on this place alone."""
_PIXEL = Sees(size=(1, 1), stride=(1, 1), start=(0, 0))


def layers_of(model: Classifier, images: Images) -> tuple[Layer, ...]:
    """The network's layers; of one that runs several times the last time counts.

    Args:
        model: in evaluation mode; it is left as it is.
        images: any, of its input size.
    """
    model = copy.deepcopy(model)
    trace = _Trace(model)
    for name, module in model.named_modules():
        if not any(module.children()):
            module.register_forward_pre_hook(lambda _m, seen: trace.look_up(seen[0]))
            module.register_forward_hook(lambda made, _i, out, name=name: trace.follow(name, made, out))
    if model.transformer is not None:
        model.transformer.register_forward_hook(lambda _m, _i, out: trace.remember(out.images, "transformed", _PIXEL))
    trace.remember(images, "input", _PIXEL)
    with torch.no_grad():
        model(images)
    return tuple(trace.layers.values())


@dataclass(frozen=True, slots=True)
class _Known:
    """What a tensor's places see."""

    tensor: Tensor
    version: int
    """Of the tensor, which changes when something is added to it."""
    of: str
    sees: Sees | None


class _Trace:
    def __init__(self, model: Classifier) -> None:
        self.layers: dict[str, Layer] = {}
        self._straightens = model.transformer is not None
        self._known: dict[int, _Known] = {}
        self._taken: _Known | None = None
        """What the layer that runs now has taken; it may write into it."""

    def remember(self, tensor: Tensor, of: str, sees: Sees | None) -> None:
        self._known[id(tensor)] = _Known(tensor, tensor._version, of, sees)

    def look_up(self, taken: Tensor) -> None:
        """What this tensor sees, for the layer that takes it."""
        known = self._known.get(id(taken)) or next(
            (one for one in self._known.values() if _is_cut(taken, one.tensor)), None
        )
        self._taken = known if known and known.version == taken._version else None

    def follow(self, name: str, module: nn.Module, out: Tensor) -> None:
        """Note the layer, where it is one that is shown, and what its output sees."""
        before = self._taken
        of, sees = (before.of, _through(module, before.sees)) if before and before.sees else ("", None)
        self.remember(out, of, sees)
        kind = next((kind for layer, kind in _KINDS.items() if isinstance(module, layer)), None)
        if kind is None:
            return
        if kind == "dense" and out.ndim == 4:
            kind = "convolution"  # of one place
        image: Shown = "transformed" if self._straightens and not name.startswith("transformer.") else "input"
        self.layers.pop(name, None)
        self.layers[name] = Layer(name=name, kind=kind, of=image, sees=sees if of == image else None)


def _is_cut(part: Tensor, whole: Tensor) -> bool:
    """Whether it is a view of the first rows and columns, in which places are what they were."""
    first = part.data_ptr() == whole.data_ptr() and part.stride() == whole.stride()
    return first and part.ndim == 4 and part.shape[:2] == whole.shape[:2]


def _through(module: nn.Module, before: Sees) -> Sees | None:
    """What a place of the output sees, of what the places of the input do; None where that is not known."""
    if isinstance(module, _EACH_ALONE):
        return before
    if isinstance(module, nn.Conv2d):
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            return None
        return _window(before, module.kernel_size, module.stride, module.padding, module.dilation)
    if isinstance(module, nn.MaxPool2d):
        return _window(before, module.kernel_size, module.stride, module.padding, module.dilation)
    if isinstance(module, nn.AvgPool2d):
        return _window(before, module.kernel_size, module.stride, module.padding, 1)
    return None


def _window(before: Sees, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Sees:
    kernel, stride, padding, dilation = (_pair(value) for value in (kernel, stride, padding, dilation))
    reach = [(kernel[axis] - 1) * dilation[axis] * before.stride[axis] for axis in (0, 1)]
    return Sees(
        size=(before.size[0] + reach[0], before.size[1] + reach[1]),
        stride=(before.stride[0] * stride[0], before.stride[1] * stride[1]),
        start=(before.start[0] - padding[0] * before.stride[0], before.start[1] - padding[1] * before.stride[1]),
    )


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
