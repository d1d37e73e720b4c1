"""An aligner without training, whose search and steps are those of any other, and pictures for it."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stn import AlignerConfig, AlignerInfo, InputConfig, build_aligner, save_model

CONFIG = AlignerConfig(transforms=("similarity", "affine"), levels=(16, 32), steps=(2, 2))


def write_aligner(path: Path) -> None:
    torch.manual_seed(0)
    images = InputConfig(channels=1, height=32, width=32, mean=(0.5,), std=(0.3,))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, build_aligner(CONFIG).eval(), AlignerInfo(config=CONFIG, input=images, provenance={"seed": "0"}))


def photo(height: int = 96, width: int = 96, seed: int = 0, colour: bool = False) -> np.ndarray:
    """Smooth blobs with edges, (H, W) or (H, W, 3) bytes."""
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    picture = np.zeros((height, width))
    for _ in range(12):
        across, down, size, value = numbers.uniform((0, 0, 0.05, -1), (1, 1, 0.2, 1))
        picture += value * (np.hypot(x - across, y - down) < size)
    grey = np.uint8(255 * (picture - picture.min()) / np.ptp(picture))
    return np.stack([grey, grey // 2, 255 - grey], axis=-1) if colour else grey


def png_of(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
