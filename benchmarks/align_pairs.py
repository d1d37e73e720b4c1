"""The held-out pairs that `align.py` judges by: pictures moved by known transforms."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage
import torch
from PIL import Image
from torch import Tensor

from training.pair_config import PairConfig
from training.pairs import DrawnPairs, draw_pairs, make_pairs

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock_motion",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "ihc",
    "moon",
    "motorcycle_left",
    "retina",
    "rocket",
)
"""Of those that scikit-image's wheel brings, all that a camera took, the stereo pair once."""
SIDE, SEEN = 128, 2 / 3
"""Pixels of a view of a photograph, and its share of the photograph's shorter side."""
MOVED = PairConfig(
    rotation=45.0,
    scale=(0.7, 1.4),
    shift=0.2,
    perspective=0.15,
    brightness=0.0,
    contrast=(1.0, 1.0),
    noise=0.0,
    occlusion=0.0,
)
"""Geometry alone: the peers' losses need not cope with light, noise or occlusion."""


class Pairs(NamedTuple):
    """Pairs of one kind, grey bytes."""

    moving: np.ndarray
    """(N, H, W)."""
    fixed: np.ndarray
    drawn: DrawnPairs

    def truth(self, points: Tensor) -> Tensor:
        """Where points (M, 2) of the fixed images lie in the moving ones: (N, M, 2), normalised."""
        return self.drawn.truth(points.expand(len(self.moving), -1, -1))


def clothes(folder: Path, count: int, seed: int = 0) -> Pairs:
    """Test pictures of Fashion-MNIST, 28x28, on black."""
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        pictures = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:count]
    return _moved(torch.from_numpy(pictures.copy()), MOVED, seed)


def photographs(count: int, seed: int = 0) -> Pairs:
    """Views of photographs, 128x128, that go on beyond each other's edges; black beyond the photograph's own.

    The middle square of each, brought to 192x192, of which a view anywhere has 128x128.
    """
    import dataclasses

    folder = Path(skimage.__file__).parent / "data"
    side = round(SIDE / SEEN)
    squares = []
    for name in PHOTOGRAPHS:
        picture = Image.open(next(folder.glob(f"{name}.*g"))).convert("L")
        edge = min(picture.size)
        left, upper = (picture.width - edge) // 2, (picture.height - edge) // 2
        square = picture.crop((left, upper, left + edge, upper + edge)).resize((side, side), Image.Resampling.LANCZOS)
        squares.append(np.asarray(square)[None])
    pictures = torch.from_numpy(np.stack(squares)).repeat(-(-count // len(squares)), 1, 1, 1)[:count]
    return _moved(pictures, dataclasses.replace(MOVED, view=SEEN), seed)


def _moved(pictures: Tensor, config: PairConfig, seed: int) -> Pairs:
    chance = torch.Generator().manual_seed(seed)
    drawn = draw_pairs(config, (pictures.shape[2], pictures.shape[3]), len(pictures), chance)
    views = make_pairs(pictures.float() / 255, drawn, config)
    moving, fixed = ((images[:, 0] * 255).round().byte().numpy() for images in views)
    return Pairs(moving, fixed, drawn)
