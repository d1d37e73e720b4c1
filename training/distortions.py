"""Random movements of whole batches, made with the same grid and sampler as the transformer."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from stn import sample, sampling_grid
from stn.types import Images, Theta
from training.config import DistortionConfig


def distort(images: Images, config: DistortionConfig, generator: torch.Generator) -> Float[Tensor, "b c h_out w_out"]:
    """Each image rotated, scaled and placed at random, on a black image of the configured size.

    The images themselves, to the bit, where the config asks for nothing.
    """
    size = config.size or (images.shape[-2], images.shape[-1])
    theta = random_theta(config, (images.shape[-2], images.shape[-1]), len(images), generator)
    return sample(images, sampling_grid("affine", theta, size))


def random_theta(config: DistortionConfig, source: tuple[int, int], count: int, generator: torch.Generator) -> Theta:
    """Affine parameters (count, 6) that draw images of the source (height, width) as the config says.

    In pixels from both centres, p_in = R(angle) (p_out - shift) / scale; the shift is uniform over all that keeps the
    scaled, unrotated picture inside the output. Turned into normalised coordinates by the two half sizes, so that pixels
    stay square on any image.
    """
    angle, scale, shift_x, shift_y = torch.rand(4, count, generator=generator, device=generator.device) * 2 - 1
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


def draw(config, source, count, generator, others):  # type: ignore
    return random_theta(config, source, count, generator)


def take(drawn, rows):  # type: ignore
    return drawn[rows]


_old = distort


def distort(images, drawn, config, others):  # type: ignore
    size = config.size or (images.shape[-2], images.shape[-1])
    return sample(images, sampling_grid("affine", drawn, size))


def distort_fixed(images, config, generator, others):  # type: ignore
    return torch.cat(
        [(_old(part.float() / 255, config, generator) * 255).round().to(torch.uint8) for part in images.split(1000)]
    )
