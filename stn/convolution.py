"""Convolutions as torch has them, faster where its libraries have little to offer."""

import contextlib
import functools
import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stn.types import Images

LARGE_KERNEL, MOST_WEIGHTS = 2.1, 2**25
"""Pixels of an image for each of a kernel, and weights of a product, up to which a GPU is faster with one large product."""
FEW_CHANNELS = 4
"""Of images whose columns become channels."""
WORTHWHILE = 0.8
"""Share of a convolution's time that computing neighbours as channels may be estimated to take."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, faster in four cases that networks with a transformer have.

    Grey or coloured images that need a gradient, on the CPU: machine code for the derivative by the images works on 8 or 16
    channels at a time and has little to do with one or three. Here the columns that a kernel covers become channels: channel
    c of image[y, x + i] is channel i C + c, and a kernel of kh x kw on C channels is one of kh x 1 on kw C.

    Few filters, on the CPU, in training, channels last: machine code computes 8 or 16 channels of a place at a time, most of
    which would be nothing. Here neighbours in a row are computed together, as channels of their own, by copies of the kernel
    moved by 0, 1 ... columns; channels last, the result lies in memory as it should.

    Images of few channels that need a gradient, the same: their derivative is a convolution with few filters.

    A kernel that covers much of a small image, on a GPU, in training: libraries have few places to share among many
    processors. Here it is one product of all pixels with all places, most of which are used.
    """

    def forward(self, input: Images) -> Tensor:
        if not (torch.is_grad_enabled() and self._is_plain(input)):
            return super().forward(input)
        if input.device.type == "cpu" and input.requires_grad and self._has_columns(input):
            return self._by_columns(_in_precision_of_autocast(input))
        if input.device.type == "cuda" and self._covers_most(input):
            return self._as_product(input)
        if input.device.type == "cpu" and self.weight.stride(1) == 1 and self.kernel_size != (1, 1):  # channels last
            return self._in_vectors(input)
        return super().forward(input)

    def _is_plain(self, input: Tensor) -> bool:
        """Nothing that these ways do not know."""
        return (
            input.ndim == 4
            and not input.is_complex()
            and input.shape[1] == self.in_channels
            and self.stride == self.dilation == (1, 1)
            and self.groups == 1
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
            and not torch.compiler.is_compiling()
            and not torch._C._are_functorch_transforms_active()
        )

    def _has_columns(self, input: Tensor) -> bool:
        width, padded = self.kernel_size[1], input.shape[3] + 2 * int(self.padding[1])
        return self.in_channels <= FEW_CHANNELS and 1 < width <= padded

    def _by_columns(self, input: Images) -> Tensor:
        height, width = self.kernel_size
        weight = self.weight.permute(0, 3, 1, 2).reshape(self.out_channels, width * self.in_channels, height, 1)
        weight = weight.contiguous()  # for processors without bfloat16, on which torch would refuse to derive
        top, left = self.padding if isinstance(self.padding, tuple) else (0, 0)
        columns: Tensor = _Columns.apply(F.pad(input, (left, left, top, top)) if top or left else input, width)
        return F.conv2d(columns, weight, self.bias)

    def _in_vectors(self, input: Images) -> Tensor:
        """By neighbours, forwards or only for the derivative by the images, where that fills vectors better."""
        padding, (height, width) = self.padding, self.kernel_size
        assert isinstance(padding, tuple), "it is plain"
        if padding[1] >= input.shape[3]:  # of which oneDNN 3.12 derives wrong weights in bfloat16 at a step
            return super().forward(input)
        count = _most_at_once(self.out_channels, width, input.shape[3] + 2 * padding[1] - width + 1)
        if count > 1:
            return _convolve_neighbours(input, self.weight, self.bias, padding, count)
        derived = _most_at_once(self.in_channels, width, input.shape[3])
        wide = padding[0] >= height or padding[1] >= width
        if derived == 1 or wide or not input.requires_grad:
            return super().forward(input)
        bias = None if self.bias is None else _in_precision_of_autocast(self.bias)
        images, weight = map(_in_precision_of_autocast, (input, self.weight))
        result: Tensor = _DerivedByNeighbours.apply(images, weight, bias, padding, derived)
        return result

    def _covers_most(self, input: Tensor) -> bool:
        (height, width), kernel = input.shape[2:], self.kernel_size
        places = (height - kernel[0] + 1) * (width - kernel[1] + 1)
        weights = self.in_channels * height * width * self.out_channels * places
        fits = height >= kernel[0] and width >= kernel[1] and self.padding == (0, 0) and weights <= MOST_WEIGHTS
        few = height * width <= LARGE_KERNEL * kernel[0] * kernel[1]
        return fits and few and self.in_channels > 1

    def _as_product(self, input: Images) -> Tensor:
        result: Tensor = _Product.apply(*map(_in_precision_of_autocast, (input, self.weight)))
        return result if self.bias is None else result + self.bias.to(result.dtype).view(-1, 1, 1)


@functools.cache
def _most_at_once(filters: int, kernel_width: int, width: int) -> int:
    """Of how many neighbours in a row of this width the filters fill a processor's vectors best; 1 if that helps little."""
    lanes = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8

    def cost(count: int) -> float:
        return math.ceil(count * filters / lanes) * (kernel_width + count - 1) / count

    best = min((count for count in range(1, lanes + 1) if width > 0 and width % count == 0), key=cost, default=1)
    return best if cost(best) <= WORTHWHILE * cost(1) else 1


def _in_precision_of_autocast(values: Tensor) -> Tensor:
    """The values as autocast would give them to a convolution."""
    kind = values.device.type
    cast = torch.is_autocast_enabled(kind) and values.is_floating_point() and values.dtype != torch.float64
    return values.to(torch.get_autocast_dtype(kind)) if cast else values


def _convolve_neighbours(
    images: Images, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...], count: int
) -> Tensor:
    """`F.conv2d`, channels last, of as many neighbours in a row at a time."""
    places = images.shape[3] + 2 * padding[1] - weight.shape[3] + 1
    moved = [F.pad(weight, (place, count - 1 - place)) for place in range(count)]
    step = count if count < places else 1  # of a single place oneDNN 3.12 gives wrong values at a step
    result = F.conv2d(images, torch.cat(moved), None if bias is None else bias.repeat(count), (1, step), padding)
    b, _, height, width = result.shape
    return result.permute(0, 2, 3, 1).reshape(b, height, width * count, len(weight)).permute(0, 3, 1, 2)


class _DerivedByNeighbours(torch.autograd.Function):
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
        by_images, by_weight, by_bias = torch.ops.aten.convolution_backward(
            gradient, images, weight, [len(weight)], [1, 1], ctx.padding, [1, 1], False, [0, 0], 1,
            [wanted[0] and not by_neighbours, *wanted[1:]],
        )  # fmt: skip
        if by_neighbours:
            turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
            rest = (weight.shape[2] - 1 - ctx.padding[0], weight.shape[3] - 1 - ctx.padding[1])
            with torch.autocast(gradient.device.type, enabled=False):  # in the precision of the values
                by_images = _convolve_neighbours(gradient, turned, None, rest, ctx.count)
        return by_images, by_weight, by_bias, None, None


class _Columns(torch.autograd.Function):
    """(B, C, H, W) to (B, count C, H, W - count + 1), channels last: from channel i C on the image from column i on."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, count: int) -> Tensor:
        b, c, h, w = images.shape
        ctx.shape = images.shape
        pixels = images.permute(0, 2, 3, 1).contiguous()  # in which those of neighbours follow each other
        windows = pixels.as_strided((b, h, w - count + 1, count * c), (h * w * c, w * c, c, 1))
        return windows.contiguous().permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        b, c, h, w = ctx.shape
        width = gradient.shape[3]
        images = gradient.new_zeros((b, h, w, c), dtype=torch.promote_types(gradient.dtype, torch.float32))
        images = images.permute(0, 3, 1, 2)
        for column in range(w - width + 1):
            images[..., column : column + width] += gradient[:, column * c : (column + 1) * c]
        return images.to(gradient.dtype), None


class _Product(torch.autograd.Function):
    """`F.conv2d` of (B, C, H, W) and (K, C, kh, kw) as images (B, C H W) @ weights (C H W, K h w), h = H - kh + 1."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        unrolled = unroll(weight, (images.shape[2], images.shape[3]))
        ctx.save_for_backward(images, weight, unrolled)
        height, width = (side - kernel + 1 for side, kernel in zip(images.shape[2:], weight.shape[2:], strict=True))
        with _precision_of_convolutions():
            return (images.flatten(1) @ unrolled).view(-1, len(weight), height, width).flip(2, 3)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, unrolled = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad)
        by_product = wanted[0] and not torch.is_grad_enabled()  # with it, a derivative of this one is asked for
        by_images, by_weight, _ = torch.ops.aten.convolution_backward(
            gradient, images, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
            [wanted[0] and not by_product, wanted[1], False],
        )  # fmt: skip
        if by_product:
            with _precision_of_convolutions():
                by_images = (gradient.flip(2, 3).flatten(1) @ unrolled.mT).view_as(images)
        return by_images, by_weight


def unroll(weight: Float[Tensor, "k c kh kw"], size: tuple[int, int]) -> Float[Tensor, "inputs outputs"]:
    """What each pixel (c, y, x) of an image of this size gives to each place (k, h - 1 - y', w - 1 - x') of the result.

    It is weight[k, c, y - y', x - x'], and 0 outside the kernel; counted from the far end the places make a plain strided
    view of the padded kernel.
    """
    k, c, kernel_height, kernel_width = weight.shape
    height, width = size[0] - kernel_height + 1, size[1] - kernel_width + 1
    padded = F.pad(weight, (width - 1, width - 1, height - 1, height - 1)).contiguous()
    of_k, of_c, of_y, of_x = padded.stride()
    strides = (of_c, of_y, of_x, of_k, of_y, of_x)
    return padded.as_strided((c, *size, k, height, width), strides).reshape(c * size[0] * size[1], k * height * width)


@contextlib.contextmanager
def _precision_of_convolutions() -> Iterator[None]:
    """Products in TF32 where torch allows it to convolutions, whatever it allows to products."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32
    try:
        yield
    finally:
        products.allow_tf32 = before
