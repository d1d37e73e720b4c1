"""How well a classifier names labelled pictures: scores, and the pictures it was most wrong about."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from stn import Classifier
from stn.types import Images, Logits, Theta
from training.data.batches import Batch


class Evaluation(NamedTuple):
    """What a classifier made of N labelled pictures of K classes."""

    class_names: tuple[str, ...]
    """In the order of the labels."""
    labels: Int[Tensor, " n"]
    probabilities: Float[Tensor, "n k"]
    losses: Float[Tensor, " n"]
    """Cross entropy of each picture."""
    theta: Float[Tensor, "n p"] | None
    """None where the model has no transformer."""
    worst: Int[Tensor, " m"]
    """Numbers of the mistakes of highest loss, the worst first; of the least certain pictures where there is no mistake."""
    images: Images
    """The pictures of those numbers, floats on the CPU."""

    @property
    def predicted(self) -> Int[Tensor, " n"]:
        return self.probabilities.argmax(-1)

    @property
    def mistakes(self) -> int:
        return int((self.predicted != self.labels).sum())

    @property
    def accuracy(self) -> float:
        return 1 - self.mistakes / len(self.labels)

    @property
    def loss(self) -> float:
        return float(self.losses.double().mean())

    @property
    def confusion(self) -> Int[Tensor, "k k"]:
        """How many pictures of each class (row) were taken for each class (column)."""
        classes = len(self.class_names)
        return torch.bincount(self.labels * classes + self.predicted, minlength=classes**2).view(classes, classes)


class ClassScore(NamedTuple):
    """One class of an evaluation."""

    name: str
    pictures: int
    recall: float | None
    """Share of its pictures that are given its name; None where there are none."""
    precision: float | None
    """Share of the pictures given its name that show it; None where none is."""


class Confused(NamedTuple):
    """Pictures of one class that are taken for another."""

    label: int
    predicted: int
    pictures: int


def evaluate(
    model: Classifier,
    batches: Iterable[Batch],
    class_names: tuple[str, ...],
    device: torch.device | str = "cpu",
    shown: int = 24,
) -> Evaluation:
    """The model's answers to all batches. It is left on the device, and in training or evaluation mode as it was.

    Args:
        model: what is evaluated.
        batches: images, bytes or floats in [0, 1], with labels, which are places in `class_names`.
        class_names: those of the model.
        device: where to compute.
        shown: how many of the worst pictures are kept.
    """
    training = model.training
    model.to(device).eval()
    parts: list[_Part] = []
    worst = _Part.none()
    first = 0
    for images, labels, *_ in batches:
        part = _answer(model, images, labels, first, device)
        worst = _worst(worst, part, shown)
        parts.append(part._replace(images=part.images[:0]))
        first += len(labels)
    model.train(training)
    if not first:
        raise ValueError("data must have at least 1 picture, got none")
    return Evaluation(
        class_names=class_names,
        labels=torch.cat([part.labels for part in parts]),
        probabilities=torch.cat([part.logits for part in parts]).softmax(-1),
        losses=torch.cat([part.losses for part in parts]),
        theta=torch.cat([part.theta for part in parts]) if model.transformer else None,
        worst=worst.numbers,
        images=worst.images,
    )


def class_scores(evaluation: Evaluation) -> list[ClassScore]:
    """Recall and precision of every class of the model, in its order."""
    confusion = evaluation.confusion
    right, of_class, given = confusion.diagonal().tolist(), confusion.sum(1).tolist(), confusion.sum(0).tolist()
    return [
        ClassScore(
            name=name,
            pictures=of_class[index],
            recall=right[index] / of_class[index] if of_class[index] else None,
            precision=right[index] / given[index] if given[index] else None,
        )
        for index, name in enumerate(evaluation.class_names)
    ]


def most_confused(evaluation: Evaluation, count: int = 15) -> list[Confused]:
    """The pairs of classes that are mistaken most often."""
    wrong = evaluation.confusion.clone().fill_diagonal_(0)
    counts, places = wrong.flatten().sort(descending=True, stable=True)
    classes = len(evaluation.class_names)
    pairs = zip(counts[:count].tolist(), places[:count].tolist(), strict=True)
    return [Confused(place // classes, place % classes, number) for number, place in pairs if number]


def wilson_interval(mistakes: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Where the true error lies with 95 % confidence, given this many mistakes in this many independent pictures.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    >>> [round(bound, 4) for bound in wilson_interval(0, 359)]
    [0.0, 0.0106]
    """
    share = mistakes / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    low, high = ((middle + sign * spread) / (1 + z * z / count) for sign in (-1, 1))
    return (0.0 if mistakes == 0 else low), (1.0 if mistakes == count else high)


class _Part(NamedTuple):
    """The answers to some of the pictures, on the CPU."""

    numbers: Int[Tensor, " b"]
    labels: Int[Tensor, " b"]
    logits: Logits
    losses: Float[Tensor, " b"]
    theta: Theta
    images: Images

    @classmethod
    def none(cls) -> "_Part":
        empty, integers = torch.zeros(0, 0), torch.zeros(0, dtype=torch.long)
        return cls(integers, integers, empty, empty[:, :0].flatten(), empty, torch.zeros(0, 0, 0, 0))


@torch.no_grad()
def _answer(model: Classifier, images: Tensor, labels: Tensor, first: int, device: torch.device | str) -> _Part:
    images = images.to(device)
    images = images if images.is_floating_point() else images.float() / 255
    logits, transformed = model(images)
    logits, labels = logits.float().cpu(), labels.cpu()
    theta = transformed.theta.float().cpu() if transformed else torch.zeros(len(labels), 0)
    numbers = torch.arange(first, first + len(labels))
    return _Part(numbers, labels, logits, F.cross_entropy(logits, labels, reduction="none"), theta, images.cpu())


def _worst(before: _Part, part: _Part, count: int) -> _Part:
    """The pictures of highest loss among both: of the mistakes, where there are any.

    Of a picture that was named right, a high loss is a low probability of the class it was given.
    """
    both = part
    if len(before.numbers):
        both = _Part(*(torch.cat(values) for values in zip(before, part, strict=True)))
    wrong = both.logits.argmax(-1) != both.labels
    losses = both.losses.double().nan_to_num(nan=math.inf)
    order = losses.argsort(descending=True, stable=True)
    order = (order[wrong[order]] if wrong.any() else order)[:count]
    return _Part(*(values[order] for values in both))
