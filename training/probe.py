"""The filmstrip of a run: what the network makes of the same few test pictures, at one validation after the other."""

import base64
import io
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from stn import outline, to_pixels
from stn.types import Images
from training.data.batches import FixedBatches
from training.data.datamodule import DataModule
from training.module import ClassificationModule
from training.pictures import to_pil
from training.probe_folder import PICTURES, frame_name, step_of
from training.runs import write_json

FRAMES = 60
"""Of a run, about: where it has more validations, some are left out."""
_SIDE = 64
"""Pixels of the longer side of a picture; a larger one is shrunk to it."""
_FAR = 50.0
"""An outline beyond so many halves of the picture is cut there."""
_CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


Items = list[dict[str, Any]]
Look = Callable[[], Items]
"""What the network as it is now makes of each picture."""
Begin = Callable[[Any, DataModule, int], tuple[Items, Look]]
"""From what Lightning trains, the data and a number to so many pictures, and how they are looked at."""


class Probe(pl.Callback):
    """A file with the pictures, and one after each validation; see `training.probe_folder`.

    Where there would be more than `FRAMES`, only every second, third ... validation has one, and those numbered 1, 2, 4,
    8 ... and the last. A run that goes on first drops the frames that it will repeat.

    Args:
        folder: of the files.
        between: steps between validations.
        steps: of the whole run.
        begin: takes the pictures.
        count: of them.
    """

    def __init__(self, folder: Path, between: int, steps: int, begin: Begin, count: int = 8) -> None:
        self.folder, self.between, self.steps, self.begin, self.count = folder, between, steps, begin, count
        self.every = max(1, -(-steps // (between * FRAMES)))
        self._look: Look = list

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pictures, self._look = self.begin(pl_module, _data_of(trainer), self.count)
        self.folder.mkdir(exist_ok=True)
        for path in list(self.folder.iterdir()):
            step = step_of(path.name)
            if step is not None and step >= trainer.global_step:
                path.unlink()
        write_json(self.folder / PICTURES, {"pictures": pictures})

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step, data = trainer.global_step, _data_of(trainer)
        if not (self.has_frame(step) or trainer.should_stop):
            return
        epoch = round(step / data.steps_per_epoch, 3)
        write_json(self.folder / frame_name(step), {"step": step, "epoch": epoch, "items": self._look()})

    def has_frame(self, step: int) -> bool:
        """Whether the validation after this step has one in any case."""
        number = step // self.between
        return number % self.every == 0 or number & (number - 1) == 0 or step >= self.steps


def begin_classes(module: ClassificationModule, data: DataModule, count: int) -> tuple[Items, Look]:
    """Pictures of as many classes as there are, and what each is taken for."""
    found, labels = probe_pictures(data.test, count)
    images = found.to(module.device).float() / 255
    names = [data.class_names[label] for label in labels]
    pictures = [{"image": uri(tile(image)), "class": name} for image, name in zip(images, names, strict=True)]
    return pictures, partial(describe, module, images, data.class_names)


@torch.no_grad()
def describe(module: ClassificationModule, images: Images, class_names: tuple[str, ...]) -> Items:
    """What the network makes of each picture; without a transformer it sees the picture itself."""
    logits, transformed = module.model(images)
    probabilities, labels = logits.float().softmax(-1).max(-1)
    straight, corners = images, _CORNERS.expand(len(images), -1, -1)
    if transformed is not None and module.model.transformer is not None:
        straight, corners = transformed.images, outline(module.model.transformer.transform, transformed.theta)
    return [
        {
            "transformed": uri(tile(picture)),
            "outline": in_pixels(border, tile(image)),
            "class": class_names[label],
            "probability": round(probability, 4),
        }
        for image, picture, border, label, probability in zip(
            images, straight, corners, labels.tolist(), probabilities.tolist(), strict=True
        )
    ]


def probe_pictures(test: FixedBatches, count: int) -> tuple[Tensor, list[int]]:
    """So many test pictures and their labels: the first of each class, then the second of each, and so on."""
    seen: Counter[int] = Counter()
    ranked = []
    for place, label in enumerate(test.labels.tolist()):
        ranked.append((seen[label], label, place))
        seen[label] += 1
    chosen = sorted(ranked)[:count]
    found: dict[int, Tensor] = {}
    start = 0
    for batch in test:
        inside = [place for _, _, place in chosen if start <= place < start + len(batch.images)]
        found.update({place: batch.images[place - start] for place in inside})
        start += len(batch.images)
        if len(found) == len(chosen):
            break
    return torch.stack([found[place] for _, _, place in chosen]), [label for _, label, _ in chosen]


def tile(image: Tensor) -> Image.Image:
    """The picture, shrunk where it is large."""
    picture = to_pil(image)
    scale = _SIDE / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)


def in_pixels(border: Tensor, picture: Image.Image) -> list[list[float]]:
    """The outline (N, 2) in pixels of the picture."""
    points = to_pixels(border.float().cpu().clamp(-_FAR, _FAR), (picture.height, picture.width))
    return [[round(value, 2) for value in point] for point in points.tolist()]


def uri(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _data_of(trainer: pl.Trainer) -> DataModule:
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, DataModule)
    return data
