"""Layers without padding, spared the rows and columns that max pooling drops in the end."""

import torch
from torch import Tensor, nn

from stn.types import Images


class Unpadded(nn.Sequential):
    """`nn.Sequential` of square convolutions of stride 1, max pooling that rounds down, and layers that change no side.

    Where pooling meets an odd side it drops the last row or column. What only that is made of is cut from the image first,
    for the same numbers with less work: of 42x42 pixels, twice conv 5x5 and pooling by 2 see 40x40, and the second
    convolution computes 14x14 places instead of 15x15.
    """

    def forward(self, input: Images) -> Tensor:
        height, width = (self.seen(side) for side in input.shape[-2:])
        result: Tensor = super().forward(input[..., :height, :width])
        return result

    def seen(self, side: int | torch.SymInt) -> int | torch.SymInt:
        """So many of the first pixels along this side reach the result; all where export leaves the side open."""
        if isinstance(side, torch.SymInt):
            return side
        layers = [layer for layer in self if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
        for layer in layers:
            side = side // _factor(layer) if isinstance(layer, nn.MaxPool2d) else side - _margin(layer)
        for layer in reversed(layers):
            side = side * _factor(layer) if isinstance(layer, nn.MaxPool2d) else side + _margin(layer)
        return side


def _margin(conv: nn.Conv2d) -> int:
    return conv.kernel_size[0] - 1


def _factor(pool: nn.MaxPool2d) -> int:
    assert isinstance(pool.kernel_size, int)
    return pool.kernel_size
