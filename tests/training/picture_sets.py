"""Small sets of pictures, really written."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.config import DataConfig
from training.data import DATASETS
from training.data.labelled import DataSet, check_learnable


def picture(height: int, width: int, seed: int, mode: str = "L") -> Image.Image:
    """Random pixels."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def pixels(image: Image.Image) -> torch.Tensor:
    """(C, H, W) bytes."""
    values = torch.from_numpy(np.array(image))
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


def write_folder(root: Path, classes: dict[str, int], mode: str = "L", size: tuple[int, int] = (8, 6)) -> None:
    """So many PNG pictures 0.png, 1.png ... of each class, all of them different."""
    for index, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture(*size, 1000 * index + number, mode).save(root / name / f"{number}.png")


def read(root: Path, **fields: object) -> DataSet:
    """The set of the config `folder` with these fields."""
    values = {"name": "folder", "root": str(root), **fields}
    config = DataConfig(**values)  # type: ignore[arg-type]
    data = DATASETS[config.name](config)
    check_learnable(data)
    return data
