"""Convolutions as torch has them, faster where its libraries have little to offer."""

import torch
from torch import Tensor, nn

from stn.convolution_cpu import ByColumns, DerivedByNeighbours, convolve_neighbours, most_at_once
from stn.convolution_product import Product
from stn.derivatives import only_backwards
from stn.types import Images

LARGE_KERNEL, MOST_WEIGHTS = 2.1, 2**25
"""Pixels of an image for each of a kernel, and weights of a product, up to which a GPU is faster with one large product."""
FEW_CHANNELS = 4
"""Of images whose columns become channels."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, faster in four cases that networks with a transformer have.

    Grey or coloured images that need a gradient, on the CPU: machine code for the derivative by the images works on 8 or 16
    channels at a time and has little to do with one or three. Here the columns that a kernel covers become channels: channel
    c of image[y, x + i] is channel i C + c, and a kernel of kh x kw on C channels is one of kh x 1 on kw C; neighbours in a
    column are derived together where that fills the vectors better.

    Few filters, on the CPU, in training, channels last: machine code computes 8 or 16 channels of a place at a time, most of
    which would be nothing. Here neighbours in a row are computed together, as channels of their own, by copies of the kernel
    moved by 0, 1 ... columns; channels last, the result lies in memory as it should.

    Images of few channels that need a gradient, the same: their derivative is a convolution with few filters.

    A kernel that covers much of a small image, on a GPU, in training: libraries have few places to share among many
    processors. Here it is one product of all pixels with all places, most of which are used.
    """

    def forward(self, input: Images) -> Tensor:
        if not self._is_plain(input):
            return super().forward(input)
        if input.device.type == "cpu" and input.requires_grad and self._has_columns(input):
            return self._by_columns(input)
        if input.device.type == "cuda" and self._covers_most(input):
            return self._as_product(input)
        if input.device.type == "cpu" and self.weight.stride(1) == 1 and self.kernel_size != (1, 1):  # channels last
            return self._in_vectors(input)
        return super().forward(input)

    def _is_plain(self, input: Tensor) -> bool:
        """Nothing that these ways do not know."""
        return (
            only_backwards()
            and input.ndim == 4
            and not input.is_complex()
            and input.shape[1] == self.in_channels
            and self.stride == self.dilation == (1, 1)
            and self.groups == 1
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
        )

    def _has_columns(self, input: Tensor) -> bool:
        width, padded = self.kernel_size[1], input.shape[3] + 2 * int(self.padding[1])
        return self.in_channels <= FEW_CHANNELS and 1 < width <= padded

    def _by_columns(self, input: Images) -> Tensor:
        padding = self.padding if isinstance(self.padding, tuple) else (0, 0)
        count = most_at_once(
            self.in_channels * self.kernel_size[1], self.kernel_size[0], input.shape[2] + 2 * padding[0]
        )
        values = (each if each is None else _in_precision_of_autocast(each) for each in (input, self.weight, self.bias))
        result: Tensor = ByColumns.apply(*values, padding, count)
        return result

    def _in_vectors(self, input: Images) -> Tensor:
        """By neighbours, forwards or only for the derivative by the images, where that fills vectors better."""
        padding, (height, width) = self.padding, self.kernel_size
        assert isinstance(padding, tuple), "it is plain"
        if padding[1] >= input.shape[3]:  # of which oneDNN 3.12 derives wrong weights in bfloat16 at a step
            return super().forward(input)
        count = most_at_once(self.out_channels, width, input.shape[3] + 2 * padding[1] - width + 1)
        if count > 1:
            return convolve_neighbours(input, self.weight, self.bias, padding, count)
        derived = most_at_once(self.in_channels, width, input.shape[3])
        wide = padding[0] >= height or padding[1] >= width
        if derived == 1 or wide or not input.requires_grad:
            return super().forward(input)
        bias = None if self.bias is None else _in_precision_of_autocast(self.bias)
        images, weight = map(_in_precision_of_autocast, (input, self.weight))
        result: Tensor = DerivedByNeighbours.apply(images, weight, bias, padding, derived)
        return result

    def _covers_most(self, input: Tensor) -> bool:
        (height, width), kernel = input.shape[2:], self.kernel_size
        places = (height - kernel[0] + 1) * (width - kernel[1] + 1)
        weights = self.in_channels * height * width * self.out_channels * places
        fits = height >= kernel[0] and width >= kernel[1] and self.padding == (0, 0) and weights <= MOST_WEIGHTS
        few = height * width <= LARGE_KERNEL * kernel[0] * kernel[1]
        return fits and few and self.in_channels > 1

    def _as_product(self, input: Images) -> Tensor:
        result: Tensor = Product.apply(*map(_in_precision_of_autocast, (input, self.weight)))
        return result if self.bias is None else result + self.bias.to(result.dtype).view(-1, 1, 1)


def _in_precision_of_autocast(values: Tensor) -> Tensor:
    """The values as autocast would give them to a convolution."""
    kind = values.device.type
    cast = torch.is_autocast_enabled(kind) and values.is_floating_point() and values.dtype != torch.float64
    return values.to(torch.get_autocast_dtype(kind)) if cast else values
