"""Pictures brought to what a network takes, the way the service does it."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stn import InputConfig
from stn.types import Images
from training.decoding import FITS, convert, to_bytes
from training.pictures import to_pil


def fit_images(images: Images, wanted: InputConfig) -> Float[Tensor, "b c2 h2 w2"]:
    """Each picture brought to the network's size, as its input says, and to its colours.

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
    fitted = [to_bytes(FITS[wanted.fit](convert(to_pil(image), wanted.channels), wanted.size)) for image in images]
    return torch.from_numpy(np.stack(fitted)).float() / 255
