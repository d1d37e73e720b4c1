"""Noise and clutter that stay with a picture, however it is moved."""

import torch
from jaxtyping import Int
from torch import Tensor

from stn.types import Images
from training.clutter import add_clutter, draw_clutter
from training.invariance_config import InvarianceConfig
from training.randomness import generator
from training.rounding import to_bytes


class Overlay:
    """Lays over each picture, by its number, the same noise and the same pieces of others every time.

    Args:
        images: all pictures as the network gets them, in [0, 1]; pieces are cut from them.
        config: how much of both.
    """

    def __init__(self, images: Images, config: InvarianceConfig) -> None:
        self.config = config
        size = (images.shape[2], images.shape[3])
        self.others = to_bytes(images) if config.clutter else None
        self.clutter = None
        if config.clutter:
            chance = generator(config.seed, "clutter")
            count, side = len(images), config.clutter_size
            self.clutter = draw_clutter(count, config.clutter, side, size, size, chance, count)

    def __call__(self, images: Images, numbers: Int[Tensor, " b"]) -> Images:
        """The pictures of these numbers, moved or not, with what belongs to them on top."""
        if self.clutter is not None and self.others is not None:
            images = add_clutter(images, self.clutter[numbers].to(images.device), self.others, self.config.clutter_size)
        if self.config.noise:
            noise = torch.stack([self._noise(number, images) for number in numbers.tolist()])
            images = (images + self.config.noise * noise.to(images)).clamp(0, 1)
        return images

    def _noise(self, number: int, images: Tensor) -> Tensor:
        return torch.randn(images.shape[1:], generator=generator(self.config.seed, "noise", number))


def overlay_of(images: Images, config: InvarianceConfig) -> Overlay | None:
    """What the config asks for; None where it asks for nothing."""
    return Overlay(images, config) if config.clutter or config.noise else None
