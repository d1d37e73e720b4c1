"""The Flux port: the original script's functions and NNlib's sampler, with their names and their layout.

Arrays are (W, H, C, B), width first and batch last, as in Flux. Such an array in Julia's memory order and a torch tensor
(B, C, H, W) are the same bytes: `to_flux` and `from_flux` reverse the axes and copy nothing, and every function here gives
arrays in Julia's memory order. Coordinates are NNlib's, not those of `stn.coordinates`: -1 and +1 are the **centres** of
the border pixels.

The script that this project began as had the first three functions, and three faults that these do not have: its sampler
computed the weighted sum of the four neighbouring pixels and returned one of the four instead; it rotated the sampled
pictures one by one with an image library, where no gradient passes; and it was tied to one batch size.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stn.config import require

PADDING_MODES = ("zeros", "border")


def to_flux(tensor: Tensor) -> Tensor:
    """The same memory with the axes reversed: torch's (B, C, H, W) becomes Flux's (W, H, C, B).

    >>> to_flux(torch.zeros(8, 3, 20, 30)).shape
    torch.Size([30, 20, 3, 8])
    """
    return tensor.permute(*reversed(range(tensor.ndim)))


def from_flux(array: Tensor) -> Tensor:
    """The same memory with the axes reversed: Flux's (W, H, C, B) becomes torch's (B, C, H, W); undoes `to_flux`."""
    return to_flux(array)


def affine_grid_generator(
    height: int, width: int, theta: Float[Tensor, "2 3 b"]
) -> tuple[Float[Tensor, "w h b"], Float[Tensor, "w h b"]]:
    """The input point (x, y) of every output pixel, as two arrays: theta times (x_out, y_out, 1).

    The corner pixels' centres are at -1 and +1; a side of one pixel is at 0.

    They are float64 for a theta in float64 and float32 for any other: in float16 or bfloat16 they would miss their pixels.

    Args:
        height: rows of the output.
        width: columns of the output.
        theta: one 2x3 matrix [A | t] for each image, as in Julia `reshape(theta, 2, 3, :)`; any number of them; floating
            point.

    >>> x, y = affine_grid_generator(2, 3, torch.tensor([[[1.0], [0.0], [0.0]], [[0.0], [1.0], [0.5]]]))
    >>> x[:, 0, 0], y[0, :, 0]
    (tensor([-1.,  0.,  1.]), tensor([-0.5000,  1.5000]))
    """
    for name, count in (("height", height), ("width", width)):
        require(1 <= count < math.inf and count == int(count), name, "a whole number of at least 1", count)
    height, width = int(height), int(width)
    require(theta.shape[:2] == (2, 3) and theta.ndim == 3, "theta", "of shape (2, 3, B)", tuple(theta.shape))
    require(theta.is_floating_point(), "theta", "floating point", theta.dtype)
    _require_finite("theta", theta)
    theta = theta.to(torch.promote_types(theta.dtype, torch.float32))
    x = _centres(width, theta)
    y = _centres(height, theta)[:, None]
    xx, yx, xy, yy, x0, y0 = from_flux(theta).flatten(1)[..., None, None].unbind(1)  # six times (B, 1, 1)
    return to_flux(xx * x + xy * y + x0), to_flux(yx * x + yy * y + y0)  # from (B, H, W)


def bilinear_sampler(
    img: Float[Tensor, "w_in h_in c b"], x: Float[Tensor, "w h b"], y: Float[Tensor, "w h b"]
) -> Float[Tensor, "w h c b"]:
    """The images' values at the points (x, y): the sum of the four nearest pixels, each with its weight.

    Zero outside the image. The script computed this sum and returned its last term's pixel, unweighted; it also read only
    the diagonals of x and y, so that rows and columns of pixels could move but not turn.
    """
    require(x.shape == y.shape, "y", f"of the shape of x, {tuple(x.shape)}", tuple(y.shape))
    return grid_sample(img, to_flux(torch.stack([from_flux(x), from_flux(y)], dim=-1)))


def transformer(
    input_batch: Float[Tensor, "w h c b"], loc_net_output: Float[Tensor, "4 b"]
) -> Float[Tensor, "w h c b"]:
    """The images, turned, scaled and shifted by what the localization net says: p_in = scale R(angle) p_out + shift.

    The script scaled and shifted first and turned the result with an image library: the same map, but without a gradient,
    for RGB only, and for a fixed batch size. Here all four parameters have their gradient, and any number of channels and
    images will do.

    Args:
        input_batch: any size, any number of channels.
        loc_net_output: scale, shift in width, shift in height (1 is half the image) and angle (radians; a positive one
            turns the picture anticlockwise on screen) of each image; (1, 0, 0, 0) is the identity. Turning is done in
            normalised coordinates, as in `stn.Similarity`.

    >>> images = torch.rand(28, 28, 3, 5)
    >>> identity = torch.tensor([1.0, 0.0, 0.0, 0.0])[:, None].expand(4, 5)
    >>> torch.allclose(transformer(images, identity), images)
    True
    """
    shape = tuple(loc_net_output.shape)
    require(len(shape) == 2 and shape[0] == 4, "loc_net_output", "of shape (4, B)", shape)
    _require_finite("loc_net_output", loc_net_output)
    width, height = input_batch.shape[:2]
    scale, shift_width, shift_height, angle = loc_net_output.double().unbind(0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    columns = torch.stack([cos, sin, -sin, cos, shift_width, shift_height])  # (6, B)
    theta = columns.unflatten(0, (3, 2)).transpose(0, 1)  # (2, 3, B)
    return bilinear_sampler(input_batch, *affine_grid_generator(height, width, theta))


def grid_sample(
    input: Float[Tensor, "..."], grid: Float[Tensor, "..."], *, padding_mode: str = "zeros"
) -> Float[Tensor, "..."]:
    """The input's values at the points of the grid, as NNlib's `grid_sample` gives them, with NNlib's gradient.

    Positions and weights are computed in float64 for every type of array, as NNlib does, and the sum is rounded once to
    the input's type. With `border`, a coordinate at or beyond the border pixels' centres gets no gradient; with `zeros`,
    a point on the last pixel has the slope down to the zeros behind it.

    Args:
        input: (W, H, C, N), or (W, H, D, C, N) for volumes.
        grid: (2, W_out, H_out, N) of (x, y), or (3, W_out, H_out, D_out, N) of (x, y, z); -1 and +1 are the centres of
            the border pixels. NaN and infinity are errors.
        padding_mode: what lies outside the input: `zeros`, or `border` for the nearest pixel.

    Returns:
        (W_out, H_out, C, N) or (W_out, H_out, D_out, C, N), of the input's type.

    Source: NNlib.jl, `src/sampling.jl`.

    >>> image = torch.tensor([[1.0, 3.0], [2.0, 4.0]])[:, :, None, None]
    >>> grid = torch.tensor([[-3.0, 0.0, 1.0], [-1.0, -1.0, -1.0]])[:, :, None, None]
    >>> grid_sample(image, grid, padding_mode="border").flatten()
    tensor([1.0000, 1.5000, 2.0000])
    """
    require(padding_mode in PADDING_MODES, "padding_mode", f"one of {', '.join(PADDING_MODES)}", padding_mode)
    _check_shapes(input, grid)
    _require_finite("grid", grid)
    sampled = F.grid_sample(
        from_flux(input).double(), from_flux(grid).double(), "bilinear", padding_mode, align_corners=True
    )
    return to_flux(sampled.to(input.dtype))


def _check_shapes(input: Tensor, grid: Tensor) -> None:
    for name, tensor in (("input", input), ("grid", grid)):
        require(tensor.is_floating_point(), name, "floating point", tensor.dtype)
    shapes = f"input {tuple(input.shape)} and grid {tuple(grid.shape)}"
    if input.ndim not in (4, 5) or grid.ndim != input.ndim:
        raise ValueError(f"input and grid must both have 4 axes, or both 5, got {shapes}")
    if grid.shape[0] != input.ndim - 2:
        raise ValueError(f"grid must have {input.ndim - 2} coordinates in its first axis, got {shapes}")
    if grid.shape[-1] != input.shape[-1]:
        raise ValueError(f"grid and input must have the same batch size in their last axis, got {shapes}")
    if 0 in input.shape[:-2]:
        raise ValueError(f"input must have at least one pixel, got {shapes}")
    if 0 in grid.shape[1:-1]:
        raise ValueError(f"grid must have at least one point, got {shapes}")


def _centres(count: int, like: Tensor) -> Tensor:
    """The normalised coordinates of this many pixels' centres."""
    if count == 1:
        return like.new_zeros(1)
    return torch.linspace(-1, 1, count, dtype=like.dtype, device=like.device)


def _require_finite(name: str, values: Tensor) -> None:
    if not torch.compiler.is_compiling() and not bool(values.isfinite().all()):
        raise ValueError(f"{name} must be finite, got NaN or infinity")
