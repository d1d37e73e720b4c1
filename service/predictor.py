"""A network with a thread of its own, which answers in batches whatever has arrived."""

import queue
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stn import Classifier, MatrixTransform, outline
from stn.types import Images


class QueueFull(Exception):
    """More images wait than the predictor may hold."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one image."""

    probabilities: Float[Tensor, " k"]
    transformed: Float[Tensor, "c h_out w_out"]
    """What its class layers saw: the input itself where it has no transformer."""
    theta: Float[Tensor, " p"] | None
    parameter_names: tuple[str, ...]
    """One name per entry of theta."""
    matrix: Float[Tensor, "rows 3"] | None
    """[A | t] where the transform is a matrix: p_in = A p_out + t in normalised coordinates; 3x3, with a division by the
    last coordinate, where it is projective."""
    outline: Float[Tensor, "n 2"]
    """The border of the sampled region in normalised input coordinates, clockwise from the upper left corner: four
    corners where its sides are straight."""


class Predictor:
    """Collects images and runs the network on all that wait, never waiting for more while it is idle."""

    def __init__(self, model: Classifier, max_batch: int, max_waiting: int) -> None:
        self.model = model
        self.max_batch = max_batch
        self.max_waiting = max_waiting
        self._unanswered = 0
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[tuple[Tensor, Future[Prediction]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=_run, args=(self._waiting, model, max_batch), name="predictor", daemon=True
        )
        self._thread.start()
        self._end = weakref.finalize(self, self._waiting.put, None)
        self._end.atexit = False

    @property
    def unanswered(self) -> int:
        """Images that wait or are being computed."""
        return self._unanswered

    def submit(self, images: Sequence[Float[Tensor, "c h w"]]) -> "list[Future[Prediction]]":
        """The predictions to come for images of the network's input size: all are taken or none.

        Raises:
            QueueFull: too many images wait already.
        """
        with self._lock:
            if self._unanswered + len(images) > self.max_waiting:
                raise QueueFull
            self._unanswered += len(images)
        return [self._put(image) for image in images]

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        self._end()
        self._thread.join()

    def _put(self, image: Tensor) -> "Future[Prediction]":
        future: Future[Prediction] = Future()
        future.add_done_callback(self._answered)
        self._waiting.put((image, future))
        return future

    def _answered(self, _: "Future[Prediction]") -> None:
        with self._lock:
            self._unanswered -= 1


def _run(
    waiting: "queue.SimpleQueue[tuple[Tensor, Future[Prediction]] | None]", model: Classifier, max_batch: int
) -> None:
    """Knows nothing of the predictor, so that one that nobody refers to any more ends."""
    while (first := waiting.get()) is not None:
        batch = [first]
        closing = False
        while len(batch) < max_batch and not waiting.empty():
            item = waiting.get()
            if item is None:
                closing = True
                break
            batch.append(item)
        _answer(model, [item for item in batch if item[1].set_running_or_notify_cancel()])
        first = item = None
        del batch
        if closing:
            return


def _answer(model: Classifier, batch: Sequence[tuple[Tensor, "Future[Prediction]"]]) -> None:
    if not batch:
        return
    try:
        predictions = predict(model, torch.stack([image for image, _ in batch]))
    except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the thread must go on
        for _, future in batch:
            future.set_exception(error)
        return
    for (_, future), prediction in zip(batch, predictions, strict=True):
        future.set_result(prediction)


@torch.inference_mode()
def predict(model: Classifier, images: Images) -> list[Prediction]:
    """What the network says of each image."""
    logits, transformed = model(images)
    probabilities = logits.softmax(-1)
    whole = images.new_tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])  # (4, 2)
    if transformed is None:
        return [Prediction(*parts, None, (), None, whole) for parts in zip(probabilities, images, strict=True)]
    transform, theta = model.transformer.transform, transformed.theta  # type: ignore[union-attr]
    borders = outline(transform, theta)
    matrices = transform.matrix(theta) if isinstance(transform, MatrixTransform) else [None] * len(theta)
    names = [transform.parameter_names] * len(theta)
    return [
        Prediction(*parts)
        for parts in zip(probabilities, transformed.images, theta, names, matrices, borders, strict=True)
    ]
