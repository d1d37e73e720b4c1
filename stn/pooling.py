"""Max pooling whose derivative is fast on a GPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaxPool2d(nn.MaxPool2d):
    """`nn.MaxPool2d` of windows that do not overlap: its derivative puts each gradient where the largest value was.

    torch's own looks through all windows that a pixel could be in.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self._is_plain(input):
            pooled: Tensor = super().forward(input)
            return pooled
        return _Pool.apply(input, self.kernel_size, bool(self.ceil_mode))

    def _is_plain(self, input: Tensor) -> bool:
        return (
            input.device.type == "cuda"
            and input.requires_grad
            and torch.is_grad_enabled()
            and self.stride == self.kernel_size
            and (self.padding, self.dilation, self.return_indices) == (0, 1, False)
            and not torch.compiler.is_compiling()
            and not torch._C._are_functorch_transforms_active()
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
