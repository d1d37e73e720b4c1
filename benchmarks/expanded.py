"""The affine layer as most code has it: torch's `affine_grid` and `grid_sample`."""

import torch.nn.functional as F
from torch import Tensor, nn

from stn import SpatialTransformer, Transformed


class ExpandedTransformer(nn.Module):
    """It, around the localization net of an affine layer of this library."""

    def __init__(self, layer: SpatialTransformer) -> None:
        super().__init__()
        self.localization = layer.localization
        self.size = layer.size

    def forward(self, images: Tensor, features: Tensor | None = None) -> Transformed:
        theta = self.localization(images)
        size = (images.shape[0], images.shape[1], *self.size)
        grid = F.affine_grid(theta.unflatten(1, (2, 3)), size, align_corners=False)
        return Transformed(F.grid_sample(images, grid, align_corners=False), theta, grid)
