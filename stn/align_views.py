"""The two images of a pair as an aligner takes them, and one under theta."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stn.finite import can_look
from stn.grid import GridGenerator
from stn.transforms import Transform
from stn.types import Images, Theta

FLAT = 1e-3
"""Standard deviation of an image, of values in [0, 1], below which it shows nothing."""


def check_pair(moving: Tensor, fixed: Tensor) -> None:
    """A ValueError that says why these cannot be laid on each other."""
    for name, images in (("moving", moving), ("fixed", fixed)):
        if images.ndim != 4 or 0 in images.shape or min(images.shape[2:]) < 8:
            rule = "shape (B, C, H, W) with sides of at least 8"
            raise ValueError(f"{name} must have {rule}, got {tuple(images.shape)}")
        if not images.is_floating_point():
            raise ValueError(f"{name} must be floating point, got {images.dtype}")
    if moving.shape != fixed.shape:
        raise ValueError(
            f"moving and fixed must have the same shape, got {tuple(moving.shape)} and {tuple(fixed.shape)}"
        )
    for name, images in (("moving", moving), ("fixed", fixed)):
        if can_look(images):
            flat = ~(images.mean(1).flatten(1).std(1) >= FLAT)
            if flat.any():
                first = int(flat.nonzero()[0])
                which = f" for image {first}" if len(images) > 1 else ""
                raise ValueError(f"{name} must {why_flat(images[first])}{which}")


def why_flat(picture: Float[Tensor, "c h w"]) -> str:
    """The rest of the sentence about a picture that is flat in grey."""
    if bool((picture.flatten(1).std(1) >= FLAT).any()):
        return "show differences in brightness, by which it is compared, got colours that are equally bright"
    return "show something: it is flat, and nothing on it says where it lies, got one colour"


def view(images: Images, side: int) -> Float[Tensor, "b 1 s s"]:
    """The grey image in a square, with mean 0 and deviation 1."""
    grey = images.mean(1, keepdim=True)
    if tuple(grey.shape[2:]) != (side, side):
        shrinks = min(grey.shape[2:]) >= side
        grey = (
            F.interpolate(grey, (side, side), mode="area")
            if shrinks
            else F.interpolate(grey, (side, side), mode="bilinear", align_corners=False)
        )
    mean, deviation = grey.mean((2, 3), keepdim=True), grey.std((2, 3), keepdim=True)
    return (grey - mean) / deviation.clamp(min=FLAT)


@lru_cache(maxsize=16)
def generator_of(transform: Transform, size: tuple[int, int], device: torch.device) -> GridGenerator:
    """The grids of this size on this device; made once."""
    return GridGenerator(transform, size).to(device)


def laid(transform: Transform, theta: Theta, moving: Float[Tensor, "b 1 s s"]) -> tuple[Tensor, Tensor]:
    """A square view under theta, and where it reaches: (B, 1, S, S) each."""
    grid = generator_of(transform, (moving.shape[2], moving.shape[3]), theta.device)(theta)
    warped = F.grid_sample(moving, grid, padding_mode="border", align_corners=False)
    return warped, (grid.detach().abs().amax(-1) <= 1).to(warped.dtype).unsqueeze(1)
