"""Convolutions of grey images, at the speed of those of many channels."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stn.types import Images


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` whose derivative by images of one channel, which a transformer in front needs, is fast on the CPU.

    Machine code for that derivative works on several channels at a time and has little to do with one. Here the columns
    that a kernel covers become channels: image[y, x + i] is channel i, and a kernel of kh x kw is one of kh x 1 on kw
    channels. Where images need no gradient, it is `nn.Conv2d`.
    """

    def forward(self, input: Images) -> Tensor:
        if not self._covers_columns(input):
            return super().forward(input)
        height, width = self.kernel_size
        weight = self.weight.permute(0, 3, 1, 2).reshape(self.out_channels, width, height, 1)
        top, left = self.padding if isinstance(self.padding, tuple) else (0, 0)
        columns: Tensor = _Columns.apply(F.pad(input, (left, left, top, top)) if top or left else input, width)
        return F.conv2d(columns, weight, self.bias)

    def _covers_columns(self, input: Tensor) -> bool:
        return (
            self.in_channels == 1
            and input.requires_grad
            and torch.is_grad_enabled()
            and input.device.type == "cpu"
            and input.dtype == torch.float32
            and self.stride == self.dilation == (1, 1)
            and self.padding_mode == "zeros"
            and self.padding not in ("same", "valid")
            and not torch.compiler.is_compiling()
            and not torch._C._are_functorch_transforms_active()
            and not torch.is_autocast_enabled("cpu")
        )


class _Columns(torch.autograd.Function):
    """(B, 1, H, W) to (B, count, H, W - count + 1), channels last in memory: channel i is the image from column i on."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, count: int) -> Tensor:
        b, _, h, w = images.shape
        ctx.shape = images.shape
        flat = images.contiguous()
        return flat.as_strided((b, h, w - count + 1, count), (h * w, w, 1, 1)).contiguous().permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        images = gradient.new_zeros(ctx.shape)
        count, width = gradient.shape[1], gradient.shape[3]
        for column in range(count):
            images[:, 0, :, column : column + width] += gradient[:, column]
        return images, None
