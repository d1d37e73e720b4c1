"""Tensors that are computed from settings, not learned: held by modules, or small and shared."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


class Constants(nn.Module, ABC):
    """Holds one tensor that is computed from its settings and stays out of the state dict.

    The tensor moves with the module. Cast to another precision it is computed anew, in float32 at least, never rounded, so
    a module in float16 keeps exact coordinates and one in float64 gets all its digits.
    """

    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.empty(0), persistent=False)

    @abstractmethod
    def compute(self, dtype: torch.dtype) -> Tensor:
        """The tensor in this dtype, on the CPU."""

    def refresh(self) -> None:
        """Compute the tensor, in the precision and on the device of the one that is there."""
        dtype = torch.promote_types(self.values.dtype, torch.float32)
        with torch.device("cpu"), torch.inference_mode(False), torch.no_grad():
            self.values = self.compute(dtype).to(self.values.device)

    def get(self, like: Tensor) -> Tensor:
        """The tensor in the dtype and on the device of another.

        It is computed where the module holds too few digits, or was left on the meta device.
        """
        values = self.values
        if values.dtype == like.dtype and values.device == like.device:
            return values
        if torch.promote_types(values.dtype, like.dtype) == values.dtype and values.is_meta <= like.is_meta:
            return values.to(like.device, like.dtype)
        with on_cpu():
            return self.compute(like.dtype).to(like.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        before = self.values
        super()._apply(fn, recurse)
        if self.values.dtype != before.dtype or (before.is_meta and not self.values.is_meta):
            self.refresh()
        return self


def on_cpu() -> AbstractContextManager[object]:
    """New tensors are made on the CPU; in a compiled graph, which cannot be told so, on the default device."""
    return nullcontext() if torch.compiler.is_compiling() else torch.device("cpu")


def constant(values: tuple[tuple[float | int, ...], ...], like: Tensor) -> Tensor:
    """A small matrix of these numbers in the dtype and on the device of another tensor.

    It is made once and kept, because on a GPU each copy from the CPU would wait for all that was started before.
    """
    if torch.compiler.is_compiling() or type(like) is not Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    key = (values, like.dtype, like.device)
    found = _KEPT.get(key)
    if found is None:
        if torch._C._are_functorch_transforms_active():  # what is made within one may not leave it
            return torch.tensor(values, dtype=like.dtype, device=like.device)
        if len(_KEPT) >= 256:
            _KEPT.clear()
        with torch.inference_mode(False), torch.no_grad():
            found = _KEPT[key] = torch.tensor(values, dtype=like.dtype, device=like.device)
    return found


_KEPT: dict[tuple[tuple[tuple[float | int, ...], ...], torch.dtype, torch.device], Tensor] = {}


def pair(like: Tensor, x: float | int, y: float | int) -> Tensor:
    """x and y as a factor or term of planes (B, 2, h, w) of x and of y."""
    return constant(((x,), (y,)), like).unsqueeze(-1)
