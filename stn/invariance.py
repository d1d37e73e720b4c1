"""How far a network's class and theta keep up when its input is moved by known transforms.

A transformer does not make a network invariant by itself. Three things are measured at every size of a movement: the
accuracy; the agreement, the share of images whose class stays; the alignment, how far the transformer undoes the movement.
Source: Finnveden, Jansson and Lindeberg 2020, Understanding when spatial transformer networks do not support invariance.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from stn.aligner import Aligner
from stn.alignment import best_theta, distance, follow, grid_points, homography_theta, spread
from stn.coordinates import lattice
from stn.grid import sampling_grid
from stn.model_info import DOES
from stn.movements import MOVEMENTS, Movement, check_movement, movement
from stn.sampler import sample
from stn.transforms import Projective, Transform
from stn.types import Images

__all__ = ["MOVEMENTS", "Alignment", "Kept", "Measured", "Movement", "Report", "kept", "movement", "report"]

Overlay = Callable[[Images, Int[Tensor, " b"]], Images]
"""What is laid over moved images, given the number of each: noise, say. The same image has the same every time."""


class Alignment(NamedTuple):
    """How far from constant it is what an output point shows of the image; in pixels of the input."""

    distance: Float[Tensor, " k"]
    """At each size, how far what the points of the output show lies from what they show of the image that is not moved:
    root of the mean square over a grid of points, mean over the images."""
    spread: Float[Tensor, " n"]
    """Of each image, over all sizes: root of the mean square distance from the mean; one value where all have the same."""


class Measured(NamedTuple):
    """What one movement does to a network's answers; k sizes, n images."""

    movement: Movement
    accuracy: Float[Tensor, " k"]
    """Share of the images named right."""
    agreement: Float[Tensor, " k"]
    """Share of the images that are named as they are without the movement, rightly or not."""
    lost: Float[Tensor, " k"]
    """Share of the images' brightness that the movement takes out of the picture, which no transformer brings back."""
    model: Alignment
    """Of the network; that of the identity where it has no transformer."""
    held: Alignment
    """Were theta for every size that of the image that is not moved: what is less than this, the transformer undid."""
    identity: Alignment
    """Without a transformer."""
    perfect: Alignment
    """With the best theta of the transformer's kind, for keeping every point of the grid where it is."""


class Report(NamedTuple):
    """How invariant a network is."""

    images: int
    """How many were moved."""
    size: tuple[int, int]
    """Their (height, width)."""
    accuracy: float
    """On the images that are not moved."""
    measured: tuple[Measured, ...]
    """One for each movement."""


class Kept(NamedTuple):
    """The sizes of a movement around none at which a network keeps a share of its accuracy."""

    low: float
    high: float
    whole: tuple[bool, bool]
    """Whether the accuracy was kept to the smallest size that was tried, and to the largest."""


@torch.no_grad()
def report(
    model: nn.Module,
    images: Images,
    labels: Int[Tensor, " n"],
    movements: Sequence[Movement | str] = tuple(MOVEMENTS),
    *,
    overlay: Overlay | None = None,
    batch_size: int = 250,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """What movements of the whole image do to a network's class and theta.

    The moved image is sampled once, bilinearly, with black outside, as training distortions are. The model is not changed
    but for its running in evaluation mode meanwhile.

    Args:
        model: a `stn.Classifier`, or any module that gives a `stn.Classified` and has, as `transformer`, the one whose theta
            that holds, or None; it may stand on feature maps.
        images: in [0, 1], anywhere.
        labels: their classes, from 0.
        movements: names in `MOVEMENTS`, or movements with sizes of one's own.
        overlay: what is laid over the images after they are moved, and over those that are not.
        batch_size: images at a time, on the model's device.
        progress: called with the number of images that were named since the last time.

    Raises:
        ValueError: an aligner, shapes that do not fit, no image, an unknown movement, or sizes that do not ascend around
            none.

    >>> images, labels = torch.rand(20, 1, 28, 28), torch.arange(20) % 10
    >>> shape = stn.InputConfig(channels=1, height=28, width=28, mean=(0.5,), std=(0.3,))
    >>> model = stn.build_model(stn.ModelConfig(transform="similarity"), shape, classes=10)
    >>> (turned,) = report(model, images, labels, [movement("rotation", [-30, 0, 30])]).measured
    >>> turned.agreement[1], turned.model.distance.round(decimals=4)  # a fresh transformer undoes nothing
    (tensor(1., dtype=torch.float64), tensor([5.8707, 0.0000, 5.8707], dtype=torch.float64))
    """
    chosen = [movement(each) if isinstance(each, str) else check_movement(each) for each in movements]
    if isinstance(model, Aligner):
        raise ValueError(f"model must be a classifier, got an aligner: {DOES['align']}")
    _check(images, labels, chosen, batch_size)
    size = (images.shape[2], images.shape[3])
    training = model.training
    model.eval()
    try:
        parts = list(_parts(model, images, chosen, overlay, batch_size, progress))
    finally:
        model.train(training)
    transform = _transform(model)
    still = torch.cat([part[0].classes[0] for part in parts])
    measured = []
    for number, each in enumerate(chosen):
        answers = _Answers(
            *(torch.cat(fields, dim=1) for fields in zip(*(part[1 + number] for part in parts), strict=True))
        )
        measured.append(_measured(each, answers, still, labels.cpu(), transform, size))
    return Report(len(images), size, float((still == labels.cpu()).double().mean()), tuple(measured))


def kept(sizes: Sequence[float | int], accuracy: Float[Tensor, " k"], still: float | int, share: float) -> Kept | None:
    """Between which sizes a network keeps this share of its accuracy without the movement; None where it has none.

    From `still` outwards to where the accuracy first falls below, between two sizes on the line from one to the other.

    >>> kept((-20, -10, 0, 10, 20), torch.tensor([0.0, 0.5, 1.0, 0.75, 0.75]), 0, 0.75)
    Kept(low=-5.0, high=20.0, whole=(False, True))
    """
    values = accuracy.double().tolist()
    middle = list(sizes).index(still)
    least = share * values[middle]
    if values[middle] == 0:
        return None
    high, to_high = _outwards(list(zip(sizes[middle:], values[middle:], strict=True)), least)
    low, to_low = _outwards(list(zip(sizes[middle::-1], values[middle::-1], strict=True)), least)
    return Kept(low, high, (to_low, to_high))


def _outwards(line: list[tuple[float | int, float]], least: float) -> tuple[float, bool]:
    """Where the accuracy falls below the least along this line of (size, accuracy), and whether it never does."""
    for (near, above), (far, below) in itertools.pairwise(line):
        if below < least - 1e-7:
            return near + (far - near) * (above - least) / (above - below), False
    return float(line[-1][0]), True


class _Answers(NamedTuple):
    """What a network made of b images at k sizes of a movement, on the CPU."""

    classes: Int[Tensor, "k b"]
    placed: Float[Tensor, "k b n 2"]
    """Where theta has the grid's points in the moved images."""
    lost: Float[Tensor, "k b"]


def _check(images: Tensor, labels: Tensor, movements: list[Movement], batch_size: int) -> None:
    if images.ndim != 4 or len(images) == 0 or not images.is_floating_point():
        shape = f"{images.dtype} of {tuple(images.shape)}"
        raise ValueError(f"images must be floats of shape (N, C, H, W), at least one of them, got {shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have one class for each of {len(images)} images, got {tuple(labels.shape)}")
    if not movements:
        raise ValueError("movements must be at least one, got none")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def _transform(model: nn.Module) -> Transform | None:
    transformer = getattr(model, "transformer", None)
    return None if transformer is None else transformer.transform


def _parts(
    model: nn.Module,
    images: Tensor,
    movements: list[Movement],
    overlay: Overlay | None,
    batch_size: int,
    progress: Callable[[int], None],
) -> Iterator[list[_Answers]]:
    """For each batch the answers to the images as they are, and those to each movement."""
    device = next(iter(model.parameters()), images).device
    numbers = torch.arange(len(images))
    nothing = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    size = (images.shape[2], images.shape[3])
    for part, own in zip(images.split(batch_size), numbers.split(batch_size), strict=True):
        batch = part.to(device)
        answers = []
        for matrices in (nothing, *(each.matrices(size) for each in movements)):
            answers.append(_answer(model, batch, own, matrices, overlay))
            progress(len(batch) * len(matrices))
        yield answers


def _answer(
    model: nn.Module, images: Tensor, numbers: Tensor, matrices: Float[Tensor, "k 3 3"], overlay: Overlay | None
) -> _Answers:
    size = (images.shape[2], images.shape[3])
    grids = sampling_grid("projective", homography_theta(matrices), size).to(images)
    transform = _transform(model)
    classes, placed = [], []
    for grid in grids:
        moved = sample(images, grid.expand(len(images), -1, -1, -1))
        logits, transformed = model(moved if overlay is None else overlay(moved, numbers))
        classes.append(logits.argmax(-1).cpu())
        points = grid_points().expand(len(images), -1, -1)
        placed.append(points if transform is None else transform(transformed.theta.double().cpu(), points))
    return _Answers(torch.stack(classes), torch.stack(placed), _lost(images.cpu(), matrices))


def _lost(images: Tensor, matrices: Float[Tensor, "k 3 3"]) -> Float[Tensor, "k b"]:
    """Share of each image's brightness whose pixel the moved image does not show."""
    pixels = lattice((images.shape[2], images.shape[3]), dtype=torch.float64)
    projective = Projective()
    places = projective(projective.inverse(homography_theta(matrices)), pixels.expand(len(matrices), -1, -1))
    outside: Bool[Tensor, "k n"] = (places.abs() > 1 + 1e-9).any(-1)
    brightness = images.double().mean(1).flatten(1)  # (B, N)
    return outside.double() @ brightness.mT / brightness.sum(-1).clamp(min=1e-12)


def _measured(
    asked: Movement,
    answers: _Answers,
    still: Tensor,
    labels: Tensor,
    transform: Transform | None,
    size: tuple[int, int],
) -> Measured:
    matrices, points = asked.matrices(size), grid_points()
    unmoved = answers.placed[asked.sizes.index(asked.still)].unsqueeze(0)  # (1, B, N, 2)
    grid = points.expand(1, 1, -1, -1)
    identity = _alignment(follow(matrices, grid.expand(len(matrices), -1, -1, -1)), grid, size)
    model = held = perfect = identity
    if transform is not None:
        model = _alignment(follow(matrices, answers.placed), unmoved, size)
        held = _alignment(follow(matrices, unmoved.expand(len(matrices), -1, -1, -1)), unmoved, size)
        best = transform(best_theta(transform, matrices, size), points.expand(len(matrices), -1, -1))
        perfect = _alignment(follow(matrices, best.unsqueeze(1)), grid, size)
    return Measured(
        movement=asked,
        accuracy=(answers.classes == labels).double().mean(1),
        agreement=(answers.classes == still).double().mean(1),
        lost=answers.lost.mean(1),
        model=model,
        held=held,
        identity=identity,
        perfect=perfect,
    )


def _alignment(followed: Tensor, target: Tensor, size: tuple[int, int]) -> Alignment:
    return Alignment(distance(followed, target, size).mean(1), spread(followed, size))
