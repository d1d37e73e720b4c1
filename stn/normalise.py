"""Channel-wise normalisation as the first layer of a network, behind the transformer."""

import torch
from torch import Tensor, nn

from stn.types import Images


class Normalise(nn.Module):
    """(images - mean) / std for each channel.

    It stands **after** the sampler: what lies outside the image is then black before it is normalised, as inside.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Images) -> Images:
        return (images - self.mean) / self.std
