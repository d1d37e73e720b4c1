"""Random movements of whole batches, made with the same grid and sampler as the transformer.

They come in two steps: what is drawn for a batch, and what that does to images. So several processes can draw for the whole
of a batch they share, and each apply its own rows.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from stn import warp_affine
from stn.constants import constant
from stn.places import given
from stn.sampler import sample_at
from stn.transforms.matrix import square
from stn.transforms.product import product
from stn.types import Images, Sampled, Theta
from training.clutter import add_clutter, draw_clutter
from training.config import DistortionConfig
from training.perspective import UNTOUCHED, homography_from_corners
from training.points import control_points, points_of
from training.rounding import round_theta, to_bytes


class Distortions(NamedTuple):
    """What is drawn for a batch: one row per image in every field, None for what the config does not ask for.

    An output point goes through the spline, then through the matrix, and the image is sampled there, once.
    """

    matrix: Tensor | None
    """(B, 2, 3), affine, or (B, 3, 3), a homography up to a factor; from points of the output to points of the picture."""
    spline: Tensor | None
    """(B, 32), theta of the thin-plate spline of 4x4 points; it contains an affine matrix, and `matrix` is then None."""
    clutter: Tensor | None
    """(B, K, 5), see `training.clutter`."""


def draw(
    config: DistortionConfig,
    source: tuple[int, int],
    count: int,
    generator: torch.Generator,
    others: int,
    dtype: torch.dtype = torch.float32,
) -> Distortions:
    """Distortions of `count` pictures, on the generator's device; a GPU is not waited for.

    The corners and the 4x4 points are those of the distorted image, not of the picture in it.

    Args:
        source: (height, width) of the pictures.
        others: number of pictures that clutter may be cut from.
        dtype: of what is drawn.
    """
    size = config.size or source
    matrix: Tensor | None = None
    spline = clutter = None
    if _moves(config, source):
        matrix = random_theta(config, source, count, generator, dtype).unflatten(-1, (2, 3))
    if matrix is not None and config.corners:
        moved = constant(UNTOUCHED, matrix) + _offsets(config.corners, 4, size, count, generator, dtype)
        matrix = product(square(matrix), homography_from_corners(moved))
    if matrix is not None and config.elastic:
        points = control_points(dtype, generator.device) + _offsets(config.elastic, 16, size, count, generator, dtype)
        # A spline followed by an affine map is the spline through the mapped points.
        spline = (points if config.corners else warp_affine(matrix, points)).flatten(1)  # (B, 32)
        matrix = matrix if config.corners else None
    if config.clutter:
        clutter = draw_clutter(count, config.clutter, config.clutter_size, source, size, generator, others)
    return Distortions(matrix, spline, clutter)


def take(drawn: Distortions, rows: Int[Tensor, " r"] | slice) -> Distortions:
    """The distortions of some of the images."""
    return Distortions(*(None if field is None else field[rows] for field in drawn))


@torch.no_grad()
def distort(
    images: Images, drawn: Distortions, config: DistortionConfig, others: UInt8[Tensor, "n c h w"] | None
) -> Sampled:
    """The images as drawn, on black, of the configured size; the images themselves where nothing is asked for.

    Every image is computed by itself: it comes out the same to the bit whatever else is in its batch.

    Args:
        images: in [0, 1].
        drawn: one row for each of them, on their device.
        others: the pictures that clutter is cut from, of the same size before distortion.
    """
    if drawn.matrix is not None or drawn.spline is not None:
        grid = points_of(drawn.matrix, drawn.spline, config.size or (images.shape[2], images.shape[3]))
        images = sample_at(images, given(grid), "bilinear", "zeros", None, 1)  # `sample` would wait for a GPU's answer
    if drawn.clutter is not None:
        assert others is not None, "clutter is cut from other pictures"
        images = add_clutter(images, drawn.clutter, others, config.clutter_size)
    return images


def distort_fixed(
    images: UInt8[Tensor, "b c h w"],
    config: DistortionConfig,
    generator: torch.Generator,
    others: UInt8[Tensor, "n c h w"] | None,
) -> UInt8[Tensor, "b c h_out w_out"]:
    """Pictures that are distorted once, the same bytes on every machine; images and generator are on the CPU.

    The pictures themselves where nothing is asked for.

    Drawn and computed in float64, with theta and pixels rounded (`training.rounding`): two machines get the same theta but
    once in 1e9 entries, and from the same theta the same pixels, up to 1e-13 of a byte's 255 steps before they are rounded.
    """
    source = (images.shape[2], images.shape[3])
    if not _moves(config, source) and not config.clutter:
        return images
    parts = []
    for part in images.split(CHUNK):
        drawn = draw(config, source, len(part), generator, 0 if others is None else len(others), torch.float64)
        matrix, spline = (None if theta is None else round_theta(theta) for theta in (drawn.matrix, drawn.spline))
        rounded = Distortions(matrix, spline, drawn.clutter)
        parts.append(to_bytes(distort(part.double() / 255, rounded, config, others)))
    return torch.cat(parts)


CHUNK = 1000
"""Pictures that are distorted at a time, to bound the memory of float64; another number would give other draws."""


def random_theta(
    config: DistortionConfig,
    source: tuple[int, int],
    count: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Theta:
    """Affine parameters (count, 6) that draw images of the source (height, width) as the config says.

    In pixels from both centres, p_in = R(angle) (p_out - shift) / scale; the shift is uniform over all that keeps the
    scaled, unrotated picture inside the output. Turned into normalised coordinates by the two half sizes, so that pixels
    stay square on any image.
    """
    uniform = torch.rand(4, count, generator=generator, device=generator.device, dtype=dtype) * 2 - 1
    angle, scale, shift_x, shift_y = uniform
    low, high = config.scale
    scale = (low + high) / 2 + scale * (high - low) / 2
    angle = angle * math.radians(config.rotation)
    height, width = config.size or source
    source_height, source_width = source
    room = float(config.translation)
    shift_x = shift_x * room * ((width - scale * source_width) / 2).clamp(min=0)
    shift_y = shift_y * room * ((height - scale * source_height) / 2).clamp(min=0)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    x0, y0 = -(cos * shift_x - sin * shift_y), -(sin * shift_x + cos * shift_y)
    return torch.stack(
        [
            cos * width / source_width,
            -sin * height / source_width,
            x0 * 2 / source_width,
            sin * width / source_height,
            cos * height / source_height,
            y0 * 2 / source_height,
        ],
        dim=-1,
    )  # (B, 6)


def _moves(config: DistortionConfig, source: tuple[int, int]) -> bool:
    """Whether any point is moved; a picture of the full size has no room to be placed elsewhere."""
    asked = config.rotation or config.corners or config.elastic or config.scale != (1.0, 1.0)
    return bool(asked) or (config.size or source) != source


def _offsets(
    pixels: float, points: int, size: tuple[int, int], count: int, generator: torch.Generator, dtype: torch.dtype
) -> Float[Tensor, "b n 2"]:
    """How far points are moved in x and y: normal, with this standard deviation, in normalised coordinates."""
    normal = torch.randn(count, points, 2, generator=generator, device=generator.device, dtype=dtype)
    return normal * constant(((2 * pixels / size[1], 2 * pixels / size[0]),), normal)
