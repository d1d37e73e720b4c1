"""Channel-wise normalisation as the first layer of a network, behind the transformer."""

import math

import torch
from torch import Tensor

from stn.constants import Constants
from stn.types import Images


class Normalise(Constants):
    """(images - mean) / std for each channel.

    It stands **after** the sampler: what lies outside the image is then black before it is normalised, as inside.

    Args:
        mean: one value for each channel, or one for all; images of another number of channels are a ValueError.
        std: as many, all positive.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean:
            raise ValueError(f"mean and std must have one value for each channel, got {mean} and {std}")
        if not all(math.isfinite(value) for value in mean):
            raise ValueError(f"mean must be finite, got {mean}")
        if not all(0 < value < math.inf for value in std):
            raise ValueError(f"std must be positive and finite, got {std}")
        self.mean, self.std = mean, std
        self.refresh()

    def compute(self, dtype: torch.dtype) -> Tensor:
        return torch.tensor([self.mean, self.std], dtype=dtype).view(2, -1, 1, 1)

    def forward(self, images: Images) -> Images:
        if images.ndim != 4 or len(self.mean) not in (1, images.shape[1]):
            channels = "C" if len(self.mean) == 1 else len(self.mean)
            raise ValueError(f"images must have shape (B, {channels}, H, W), got {tuple(images.shape)}")
        mean, std = self.get(images)
        return (images - mean) / std
