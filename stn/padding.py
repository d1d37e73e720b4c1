"""What lies outside the image: the image continued by a margin, and points brought within it."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stn.constants import constant
from stn.types import Images, Sampled


def extend(
    images: Images, padding: str, margin: int, size: tuple[int, int], background: Sequence[float] | None
) -> Sampled:
    """The images in the corner (margin, margin) of a canvas of this (height, width), continued as the padding says."""
    height, width = images.shape[-2:]
    if padding in _SOURCES:
        source = _SOURCES[padding]
        rows = source(torch.arange(size[0], device=images.device) - margin, height)
        columns = source(torch.arange(size[1], device=images.device) - margin, width)
        return images.index_select(2, rows).index_select(3, columns)
    if tuple(size) == (height, width):
        return images
    bottom, right = size[0] - height - margin, size[1] - width - margin
    canvas = F.pad(images, (margin, right, margin, bottom))
    if background is None:
        return canvas
    inside = F.pad(images.new_ones(height, width, dtype=torch.bool), (margin, right, margin, bottom))
    return torch.where(inside, canvas, constant((tuple(background),), canvas).view(-1, 1, 1))


FARTHEST = 2.0**20
FARTHEST_EXPORTED = 2.0**12


def within_reason(points: Tensor) -> Tensor:
    """Points a million images away, and those that are nowhere because theta overflowed, at a million images' distance.

    Beyond that, whole pixels have no meaning in float32, and torch's sampler reads where no memory is. Other runtimes
    weight and fold pixels in float32 too, without torch's care for what is rounded: where a pixel's index has no fraction
    left, their sums leave the image's range. So exported graphs keep points within 4,096 images, 2^23 pixels for a side of
    4,096; a theta that is not finite is left to the runtime.
    """
    if torch.compiler.is_exporting():
        return points.clamp(-FARTHEST_EXPORTED, FARTHEST_EXPORTED)
    return points.nan_to_num(nan=FARTHEST).clamp(-FARTHEST, FARTHEST)


def fold(points: Tensor, padding: str, edges: Tensor, pixel: Tensor, reach: float) -> Tensor:
    """Points far outside brought to where the continued image looks the same.

    Where nothing of the image is in reach, or nothing but its last pixel (border), that is by whole pixels, because the
    weights of a kernel that does not sum to 1 repeat from pixel to pixel.

    Args:
        points: (B, 2, h, w) in any linear coordinates.
        padding: how the image goes on outside.
        edges: (2, 2, 1, 1), the (x, y) of the image's upper left and lower right outer edges in those coordinates.
        pixel: (2, 1, 1), the size of a pixel in them.
        reach: how far from its centre a pixel still counts, in pixels.
    """
    start, end = edges
    points = within_reason(points)
    if padding == "reflection":
        there_and_back = 2 * (end - start)
        ahead = torch.remainder(points - start, there_and_back)
        return start + torch.minimum(ahead, there_and_back - ahead)
    first, last = start - (reach + 1) * pixel, end + (reach + 1) * pixel
    pixels = ((first - points) / pixel).ceil().clamp(min=0) - ((points - last) / pixel).ceil().clamp(min=0)
    return torch.minimum(torch.maximum(points + pixels * pixel, first), last)


def _nearest(index: Tensor, count: int) -> Tensor:
    return index.clamp(0, count - 1)


def _mirrored(index: Tensor, count: int) -> Tensor:
    ahead = index.remainder(2 * count)
    return torch.minimum(ahead, 2 * count - 1 - ahead)


_SOURCES: dict[str, Callable[[Tensor, int], Tensor]] = {"border": _nearest, "reflection": _mirrored}
PADDINGS = {
    "zeros": "0",
    "border": "the nearest pixel",
    "reflection": "the image mirrored",
    "constant": "the background",
}
