"""A convolution as one product of matrices, for GPUs: see `stn.convolution`."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class Product(torch.autograd.Function):
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
