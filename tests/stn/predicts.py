"""A localization net whose answer is known."""

import torch
from torch import nn


class Predicts(nn.Module):
    """A localization net that gives the same theta for every image, and remembers what it saw."""

    def __init__(self, *theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        return self.theta.expand(len(images), -1)
