"""Pictures brought to what a network takes, the way the service does it."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from stn import InputConfig
from stn.types import Images
from training.pictures import to_pil


def fit_images(images: Images, wanted: InputConfig) -> Float[Tensor, "b c2 h2 w2"]:
    """Each picture in the middle on black, its sides in proportion, in the network's colours.

    Pictures that have the input's size and channels are not touched.

    Raises:
        ValueError: neither are grey or RGB pictures.
    """
    channels = images.shape[1]
    if tuple(images.shape[1:]) == (wanted.channels, *wanted.size):
        return images
    if channels not in (1, 3) or wanted.channels not in (1, 3):
        raise ValueError(
            f"data must have pictures of {wanted.channels} channels and {wanted.height}x{wanted.width} pixels, as the "
            f"model takes them, got {channels} channels and {images.shape[2]}x{images.shape[3]} pixels"
        )
    mode = "L" if wanted.channels == 1 else "RGB"
    return torch.stack([_fit(to_pil(image).convert(mode), wanted) for image in images])


def _fit(image: Image.Image, wanted: InputConfig) -> Float[Tensor, "c h w"]:
    width, height = image.size
    scale = min(wanted.width / width, wanted.height / height)
    fitted = max(1, round(width * scale)), max(1, round(height * scale))
    if fitted != image.size:
        image = image.resize(fitted, Image.Resampling.BILINEAR, reducing_gap=2.0)
    canvas = Image.new(image.mode, (wanted.width, wanted.height))
    canvas.paste(image, ((wanted.width - fitted[0]) // 2, (wanted.height - fitted[1]) // 2))
    values = torch.from_numpy(np.array(canvas)).view(wanted.height, wanted.width, wanted.channels)
    return values.permute(2, 0, 1).float() / 255
