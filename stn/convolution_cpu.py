"""Convolutions whose channels fill the vectors of a CPU; see `stn.convolution`."""

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stn.types import Images

WORTHWHILE = 0.8
"""Share of a convolution's time that computing neighbours as channels may be estimated to take."""


@functools.cache
def most_at_once(filters: int, kernel_width: int, width: int) -> int:
    """Of how many neighbours in a row of this width the filters fill a processor's vectors best; 1 if that helps little."""
    lanes = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8

    def cost(count: int) -> float:
        return math.ceil(count * filters / lanes) * (kernel_width + count - 1) / count

    best = min((count for count in range(1, lanes + 1) if width > 0 and width % count == 0), key=cost, default=1)
    return best if cost(best) <= WORTHWHILE * cost(1) else 1


def convolve_neighbours(
    images: Images, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...], count: int
) -> Tensor:
    """`F.conv2d`, channels last, of as many neighbours in a row at a time."""
    result = _convolve_windows(images, weight, bias, padding, (1, count))
    b, _, height, width = result.shape
    return result.permute(0, 2, 3, 1).reshape(b, height, width * count, len(weight)).permute(0, 3, 1, 2)


def _convolve_windows(
    images: Images, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...], window: tuple[int, int]
) -> Tensor:
    """`F.conv2d`, (B, K, H, W), as (B, h w K, H / h, W / w): channel (y w + x) K + k is k at (y, x) of its h x w places."""
    (height, width), kernel = window, weight.shape[2:]
    places = (
        side + 2 * margin - extent + 1 for side, margin, extent in zip(images.shape[2:], padding, kernel, strict=True)
    )
    # Of a single place in a row oneDNN 3.12 gives wrong values at a step.
    steps = tuple(count if count < most else 1 for count, most in zip(window, places, strict=True))
    moved = [F.pad(weight, (x, width - 1 - x, y, height - 1 - y)) for y in range(height) for x in range(width)]
    return F.conv2d(images, torch.cat(moved), None if bias is None else bias.repeat(len(moved)), steps, padding)


class DerivedByNeighbours(torch.autograd.Function):
    """`F.conv2d`, whose derivative by the images is computed of as many neighbours in a row at a time."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...], count: int
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.padding, ctx.count = padding, count
        return F.conv2d(images, weight, bias, 1, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        by_neighbours = wanted[0] and not torch.is_grad_enabled()  # with it, a derivative of this one is asked for
        torchs = [wanted[0] and not by_neighbours, *wanted[1:]]
        by_images, by_weight, by_bias = _derivatives(gradient, images, weight, ctx.padding, torchs)
        if by_neighbours:
            turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
            rest = (weight.shape[2] - 1 - ctx.padding[0], weight.shape[3] - 1 - ctx.padding[1])
            with torch.autocast(gradient.device.type, enabled=False):  # in the precision of the values
                by_images = convolve_neighbours(gradient, turned, None, rest, ctx.count)
        return by_images, by_weight, by_bias, None, None


class ByColumns(torch.autograd.Function):
    """`F.conv2d` as one of kh x 1 on the columns of the images, whose derivative is of neighbours in a column at a time."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], count: int
    ) -> Tensor:
        (top, left), width = padding, weight.shape[3]
        columns = _columns(F.pad(images, (left, left, top, top)) if top or left else images, width)
        ctx.save_for_backward(images, weight, columns)
        ctx.padding, ctx.count = padding, count
        return F.conv2d(columns, _of_columns(weight), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, columns = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        if torch.is_grad_enabled():  # a derivative of this one is asked for
            of_all = _derivatives(gradient, images, weight, ctx.padding, wanted)
            return *of_all, None, None
        on_columns = _of_columns(weight)
        _, by_weight, by_bias = _derivatives(gradient, columns, on_columns, (0, 0), [False, *wanted[1:]])
        if by_weight is not None:
            k, c, kernel_height, kernel_width = weight.shape
            by_weight = by_weight.reshape(k, kernel_width, c, kernel_height).permute(0, 2, 3, 1)
        by_images = _derivative_of_columns(gradient, on_columns, ctx.count, images, ctx.padding) if wanted[0] else None
        return by_images, by_weight, by_bias, None, None


def _columns(images: Images, count: int) -> Tensor:
    """(B, C, H, W) to (B, count C, H, W - count + 1), channels last: from channel i C on the image from column i on."""
    b, c, h, w = images.shape
    pixels = images.permute(0, 2, 3, 1).contiguous()  # in which those of neighbours follow each other
    windows = pixels.as_strided((b, h, w - count + 1, count * c), (h * w * c, w * c, c, 1))
    return windows.contiguous().permute(0, 3, 1, 2)


def _of_columns(weight: Tensor) -> Tensor:
    """A kernel (K, C, kh, kw) as one (K, kw C, kh, 1) of columns."""
    return weight.permute(0, 3, 1, 2).flatten(1, 2).unsqueeze(3).contiguous()


def _derivative_of_columns(
    gradient: Tensor, weight: Tensor, count: int, images: Images, padding: tuple[int, int]
) -> Images:
    """That by the images, of which the columns were made, with this kernel on columns."""
    (b, c, h, w), (top, left) = images.shape, padding
    height, width = h + 2 * top, w + 2 * left
    turned = weight.flip(2).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast(gradient.device.type, enabled=False):  # in the precision of the values
        found = _convolve_windows(gradient, turned, None, (weight.shape[2] - 1, 0), (count, 1))
    parts = found.view(b, count, -1, c, height // count, found.shape[3])  # views, which batched gradients know
    parts = parts.permute(2, 0, 3, 4, 1, 5)  # (column, B, C, H / count, count, W)
    by_images = gradient.new_zeros((b, height, width, c), dtype=torch.promote_types(gradient.dtype, torch.float32))
    by_images = by_images.permute(0, 3, 1, 2)
    rows = by_images.view(b, c, height // count, count, width)
    for column in range(len(parts)):
        rows[..., column : column + parts.shape[-1]] += parts[column]
    return (by_images[..., top : top + h, left : left + w] if top or left else by_images).to(gradient.dtype)


def _derivatives(
    gradient: Tensor, images: Images, weight: Tensor, padding: tuple[int, ...], wanted: list[bool]
) -> tuple[Tensor | None, ...]:
    """Those of `F.conv2d` by images, weights and bias."""
    result: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(
        gradient, images, weight, [len(weight)], [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
    )
    return result
