"""Max pooling as torch has it, faster in training where its own has little to offer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stn.derivatives import only_backwards

LANES = 8
"""Channels that torch's max pooling on the CPU looks at together, channels last; those beyond a multiple of it are slow."""


class MaxPool2d(nn.MaxPool2d):
    """`nn.MaxPool2d` of windows that do not overlap, with a derivative, in two cases.

    On a GPU the derivative puts each gradient where the largest value was; torch's own looks through all windows that a
    pixel could be in.

    On the CPU, channels last, windows of 2x2 and a number of channels that fills no vectors: the larger of two rows is taken
    first, which lie in memory one after the other, then that of two columns.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self._is_plain(input):
            pooled: Tensor = super().forward(input)
            return pooled
        if input.device.type == "cuda":
            return _Pool.apply(input, self.kernel_size, bool(self.ceil_mode))
        return _PoolPairs.apply(input) if self._has_odd_channels(input) else super().forward(input)

    def _is_plain(self, input: Tensor) -> bool:
        return (
            only_backwards()
            and input.requires_grad
            and self.stride == self.kernel_size
            and (self.padding, self.dilation, self.return_indices) == (0, 1, False)
        )

    def _has_odd_channels(self, input: Tensor) -> bool:
        return (
            input.device.type == "cpu"
            and self.kernel_size in (2, (2, 2))
            and input.ndim == 4
            and input.shape[1] > 1
            and input.shape[1] % LANES != 0
            and input.shape[2] % 2 == input.shape[3] % 2 == 0
            and input.is_contiguous(memory_format=torch.channels_last)
        )


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, side: int, ceil: bool) -> Tensor:
        pooled, places = F.max_pool2d(images, side, ceil_mode=ceil, return_indices=True)
        ctx.save_for_backward(places)
        ctx.size = images.shape[2:]
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        images = gradient.new_zeros(*gradient.shape[:2], ctx.size.numel())
        return images.scatter(2, places.flatten(2), gradient.flatten(2)).unflatten(2, ctx.size), None, None


class _PoolPairs(torch.autograd.Function):
    """Of equal values in a window the gradient goes to one, as torch's; not always to the same one."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        rows = torch.maximum(*_pairs(images, 2))
        pooled = torch.maximum(*_pairs(rows, 3))
        ctx.save_for_backward(images, rows)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        images, rows = ctx.saved_tensors
        return _back(images, 2, _back(rows, 3, gradient))


def _pairs(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Views of the first and the second of each two in this dimension of (B, C, H, W)."""
    before = (slice(None),) * dim
    return values[(*before, slice(0, None, 2))], values[(*before, slice(1, None, 2))]


def _back(values: Tensor, dim: int, gradient: Tensor) -> Tensor:
    """The gradient of the larger ones, put where they are."""
    first, second = _pairs(values, dim)
    if torch.is_grad_enabled():  # a derivative of this one is asked for
        to_second = gradient * (second > first)
        return torch.stack((gradient - to_second, to_second), dim + 1).flatten(dim, dim + 1)
    result = torch.empty_like(values)
    to_first, to_second = _pairs(result, dim)
    if dim == 3 and values.element_size() == 2:  # of short runs, torch computes with integers faster than with halves
        gradient, to_first, to_second = (each.view(torch.int16) for each in (gradient, to_first, to_second))
        torch.mul(gradient, second > first, out=to_second)
    else:
        # 1.0 or 0.0, not booleans, which are slow to multiply with.
        torch.gt(second, first, out=to_second).mul_(gradient)
    torch.sub(gradient, to_second, out=to_first)
    return result
