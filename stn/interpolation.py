"""The arithmetic of sampling: exact positions, and the weighted sum of pixels around each."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stn.constants import pair
from stn.kernels import KERNELS, Kernel
from stn.padding import extend, fold, within_reason
from stn.places import Places, given, points_at, rounded_at
from stn.types import Images, Sampled

TORCH_MODES = {"bilinear": "bilinear", "integer": "nearest", "bicubic": "bicubic"}
"""torch's names of the kernels that it has machine code for, in the order of its own numbers."""

NATIVE_SECOND_DERIVATIVE = torch.torch_version.TorchVersion(torch.__version__) >= "2.14"
"""Whether torch differentiates the derivative of `F.grid_sample`; 2.10 does not."""


class Frame(NamedTuple):
    """Coordinates in which pixel i of an axis has its centre at (2i + odd) / extent - 1; width and height are extents.

    `F.grid_sample` turns a coordinate g back into a pixel by (g + 1) extent / 2 - odd / 2, where extent is n - 1 and odd 0
    (align_corners) or extent is n and odd 1. That is exact if the extent is a power of two, and for no other.
    """

    odd: int
    width: int
    height: int

    @property
    def canvas(self) -> tuple[int, int]:
        """(height, width) of the image that has this frame in `F.grid_sample`."""
        return self.height + 1 - self.odd, self.width + 1 - self.odd


def interpolate(
    images: Images, places: Places, kernel: str | Kernel, padding: str, background: Sequence[float] | None
) -> Sampled:
    """The images at these places; the other arguments are those of `stn.sample`."""
    dtype = torch.promote_types(images.dtype, places.dtype)
    source = images.to(dtype)
    chosen = KERNELS[kernel] if isinstance(kernel, str) else kernel
    mode = TORCH_MODES.get(kernel) if isinstance(kernel, str) else None
    height, width = images.shape[-2:]
    margin = 0 if mode and padding == "zeros" else chosen.taps + 1
    frame = smallest_frame(height + 2 * margin, width + 2 * margin)
    if mode and padding != "constant" and (mode == "nearest" or _better_in_place((height, width), frame, places.size)):
        points = _nearest_centres(places, dtype, (height, width)) if mode == "nearest" else points_at(places, dtype)
        points = points if padding == "zeros" else within_reason(points)
        return sample_vectorised(source, points, mode, padding, Frame(1, width, height)).to(images.dtype)
    points = align(places, dtype, (height, width), frame, margin)
    if margin:
        points = fold(points, padding, *_image_in(points, (height, width), frame, margin), chosen.support)
    if mode and mode != "nearest":
        canvas = extend(source, padding, margin, frame.canvas, background)
        return sample_vectorised(canvas, points, mode, "zeros", frame).to(images.dtype)
    canvas = extend(source, padding, margin, (height + 2 * margin, width + 2 * margin), background)
    return sample_separable(canvas, pixel_indices(points, frame), chosen).to(images.dtype)


def smallest_frame(height: int, width: int) -> Frame:
    """The frame with powers of two for extents whose canvas holds this many pixels and is smallest."""
    whole = Frame(1, 2 ** (width - 1).bit_length(), 2 ** (height - 1).bit_length())
    corners = Frame(0, 2 ** max(width - 2, 0).bit_length(), 2 ** max(height - 2, 0).bit_length())
    return corners if math.prod(corners.canvas) < math.prod(whole.canvas) else whole


def align(places: Places, dtype: torch.dtype, size: tuple[int, int], frame: Frame, margin: int) -> Tensor:
    """The places in the coordinates of the frame, where the image lies behind a margin: planes (B, 2, h, w).

    Pixel p of n has its centre at g = (2p + 1 - n) / n, so 2p = g n + n - 1. They are rounded to multiples of 2^-22 (in
    float32), which removes the rounding error that g carries: up to 2 units of 2^-25.
    """
    height, width = size
    before = 2 * margin + frame.odd - 1
    scale = (width / frame.width, height / frame.height)
    shift = ((width + before) / frame.width - 1, (height + before) / frame.height - 1)
    return rounded_at(places, dtype, scale, shift)


def pixel_indices(points: Tensor, frame: Frame) -> Tensor:
    """Pixel indices of points in the frame's coordinates, exactly."""
    return (points + 1) * pair(points, frame.width / 2, frame.height / 2) - frame.odd / 2


def from_indices(pixels: Tensor, frame: Frame) -> Tensor:
    """The inverse of `pixel_indices`."""
    return (2 * pixels + frame.odd) / pair(pixels, frame.width, frame.height) - 1


def _image_in(points: Tensor, size: tuple[int, int], frame: Frame, margin: int) -> tuple[Tensor, Tensor]:
    """The outer edges of the image behind its margin, and the size of a pixel, in the coordinates of the frame."""
    pixel = pair(points, 2 / frame.width, 2 / frame.height)
    start = (margin - 0.5 + frame.odd / 2) * pixel - 1
    return torch.stack([start, start + pixel * pair(points, size[1], size[0])]), pixel


def sample_separable(canvas: Images, pixels: Tensor, kernel: Kernel) -> Sampled:
    """The weighted sum of the taps x taps pixels around each point, for any kernel; all of them lie on the canvas."""
    b, c, _, width = canvas.shape
    taps = kernel.taps
    first = (pixels.detach() - kernel.support).floor() + 1  # (B, 2, h, w), the first pixel with a weight
    weights = [kernel.weight(pixels - (first + tap)).flatten(2) for tap in range(taps)]  # (B, 2, N) each
    if kernel.normalised:
        total = torch.stack(weights).sum(0)
        weights = [weight / total for weight in weights]
    column, row = first.long().flatten(2).unbind(1)
    index = (row * width + column).unsqueeze(1).expand(b, c, -1)  # (B, C, N)
    flat = canvas.flatten(2)
    length = flat.shape[2] - (taps - 1) * (width + 1)
    result = torch.zeros_like(index, dtype=canvas.dtype)
    for j in range(taps):
        line = torch.zeros_like(result)
        for i in range(taps):
            pixel = flat.narrow(2, j * width + i, length).gather(2, index)
            line = torch.addcmul(line, pixel, weights[i][:, :1])
        result = torch.addcmul(result, line, weights[j][:, 1:])
    return result.unflatten(2, pixels.shape[2:])


def sample_vectorised(images: Images, points: Tensor, mode: str, padding: str, frame: Frame) -> Sampled:
    """The same for the kernels that torch has machine code for; the frame is that of the images in `F.grid_sample`."""
    # Compiled graphs and torch.func differentiate torch's own function.
    if (
        NATIVE_SECOND_DERIVATIVE
        or torch.compiler.is_compiling()
        or not torch.is_grad_enabled()
        or torch._C._are_functorch_transforms_active()
    ):
        return F.grid_sample(images, points.permute(0, 2, 3, 1), mode, padding, align_corners=not frame.odd)
    sampled: Tensor = _GridSample.apply(images, points, mode, padding, frame)
    return sampled


class _GridSample(torch.autograd.Function):
    """`F.grid_sample` with a second derivative, for a torch that has none."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, points: Tensor, mode: str, padding: str, frame: Frame) -> Tensor:
        ctx.save_for_backward(images, points)
        ctx.settings = (mode, padding, frame)
        return F.grid_sample(images, points.permute(0, 2, 3, 1), mode, padding, align_corners=not frame.odd)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, points = ctx.saved_tensors
        mode, padding, frame = ctx.settings
        wanted = list(ctx.needs_input_grad[:2])
        if torch.is_grad_enabled():
            to_images, to_points = _differentiate(images, points, ctx.settings, gradient)
        else:
            numbers = list(TORCH_MODES.values()).index(mode), ["zeros", "border", "reflection"].index(padding)
            to_images, to_grid = torch.ops.aten.grid_sampler_2d_backward(
                gradient, images, points.permute(0, 2, 3, 1), *numbers, not frame.odd, wanted
            )
            to_points = to_grid.permute(0, 3, 1, 2)
        return (to_images if wanted[0] else None, to_points if wanted[1] else None, None, None, None)


def _differentiate(
    images: Tensor, points: Tensor, settings: tuple[str, str, Frame], gradient: Tensor
) -> tuple[Tensor, ...]:
    """The gradients of `sample_vectorised` by the general formula, which can be differentiated again."""
    mode, padding, frame = settings
    kernel = next(KERNELS[name] for name, value in TORCH_MODES.items() if value == mode)
    # Views, because a derivative by a tensor itself would run the hooks that its user gave it, once more.
    images, points = (
        tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
        for tensor in (images, points)
    )
    whole = Frame(1, images.shape[3], images.shape[2])
    places = given(from_indices(pixel_indices(points, frame), whole).permute(0, 2, 3, 1))
    sampled = interpolate(images, places, kernel, padding, None)
    return torch.autograd.grad(sampled, (images, points), gradient, create_graph=True, materialize_grads=True)


def _better_in_place(size: tuple[int, int], frame: Frame, output: tuple[int, int]) -> bool:
    """Whether copying the image to a canvas costs more than it gives.

    It does where the image is much larger than the output, and in exported graphs, whose runtimes neither copy nor multiply
    as cheaply; positions are then rounded as `F.grid_sample` rounds them.
    """
    if torch.compiler.is_exporting():
        return True
    points = math.prod(output)
    return points < math.prod(size) and 4 * points < math.prod(frame.canvas)


def _nearest_centres(places: Places, dtype: torch.dtype, size: tuple[int, int]) -> Tensor:
    """The centre of the pixel that each point lies in, which torch cannot miss; halves go up, where torch goes to even."""
    frame = smallest_frame(*size)
    indices = (pixel_indices(align(places, dtype, size, frame, 0), frame) + 0.5).floor()
    return from_indices(indices, Frame(1, size[1], size[0]))
