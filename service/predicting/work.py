"""What a predictor does: images that wait for their outputs, in batches."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from service.observing import metrics
from service.predicting.outputs import Outputs, to_bytes
from service.problems import Problem


@runtime_checkable
class Network(Protocol):
    """Images in [0, 1] in, and maybe the theta of each; outputs out."""

    def __call__(
        self,
        images: Float32[np.ndarray, "b c h w"],
        details: bool = False,
        theta: Float32[np.ndarray, "b p"] | None = None,
    ) -> Outputs: ...


@dataclass(slots=True)
class Stages:
    """When the stages of one piece of work ended, on `time.perf_counter`."""

    arrived: float = field(default_factory=time.perf_counter)
    taken: float = 0.0
    """Out of the queue."""
    gathered: float = 0.0
    """Laid into one array with the rest of its batch."""
    inferred: float = 0.0
    encoded: float = 0.0
    batch: int = 0
    """Images in its batch."""


@runtime_checkable
class Reply(Protocol):
    """Who waits for an answer; a future is one."""

    def done(self) -> bool: ...

    def set_result(self, answer: Any, /) -> None: ...

    def set_exception(self, error: Exception, /) -> None: ...


@runtime_checkable
class Unread(Protocol):
    """The only image of a request, which is still to be read: in two steps, for each of which all of a batch take turns."""

    def find(self) -> None:
        """Find the picture in the body."""

    def decode(self) -> np.ndarray:
        """The image, after it was found."""
        ...


@dataclass(slots=True, eq=False)
class Work:
    """The images of one request."""

    images: Sequence[np.ndarray]
    encode: Callable[[Outputs, Stages], Any]
    reply: Reply
    deadline: float
    """On `time.monotonic`."""
    details: bool
    stages: Stages
    loop: asyncio.AbstractEventLoop
    """On whose thread it is answered."""
    theta: Float32[np.ndarray, " p"] | None = None
    """Of all its images, instead of the network's own."""
    unread: Unread | None = None
    """What its only image is made of, where it is read in its turn."""

    @property
    def size(self) -> int:
        """Images."""
        return len(self.images) if self.unread is None else 1

    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not self.reply.done() and time.monotonic() < self.deadline

    def is_found(self) -> bool:
        """Whether what is unread was found; where that failed it is answered why."""
        return self.unread is None or self._attempt(self.unread.find)

    def is_decoded(self) -> bool:
        """Whether its images are here; where that failed it is answered why."""
        return self.unread is None or self._attempt(self._decode)

    def _decode(self) -> None:
        assert self.unread is not None
        self.images = (self.unread.decode(),)

    def _attempt(self, step: Callable[[], None]) -> bool:
        began = time.perf_counter()
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the others get their answers
            self.reply.set_exception(error)
            return False
        self.stages.arrived += time.perf_counter() - began  # this is no waiting
        return True


def parted(batch: list[Work]) -> Sequence[list[Work]]:
    """What can go through the network together: works with a theta of their own pass through another graph, and images of
    one size alone make a batch."""
    if not batch:
        return ()
    size = batch[0].images[0].shape
    if all(work.theta is None and work.images[0].shape == size for work in batch):
        return (batch,)
    parts: dict[object, list[Work]] = {}
    for work in batch:
        parts.setdefault((work.theta is None, work.images[0].shape), []).append(work)
    return list(parts.values())


def infer(network: Network, name: str, batch: Sequence[Work]) -> Outputs:
    """The outputs for the images of all, which are a part of `parted`, in order; they are counted under the name."""
    taken = time.perf_counter()
    images = gather([image for work in batch for image in work.images])
    gathered = time.perf_counter()
    outputs = network(images, any(work.details for work in batch), _thetas(batch))
    inferred = time.perf_counter()
    for work in batch:
        stages = work.stages
        stages.taken, stages.gathered, stages.inferred, stages.batch = taken, gathered, inferred, len(images)
    metrics.stages("queue", [taken - work.stages.arrived for work in batch])
    metrics.stages("batch", [gathered - taken] * len(batch))
    metrics.stages("infer", [inferred - gathered] * len(batch))
    metrics.batch(name, len(images))
    return outputs


def _thetas(batch: Sequence[Work]) -> Float32[np.ndarray, "b p"] | None:
    """The theta of each image, or None where the network's own are wanted."""
    if batch[0].theta is None:
        return None
    return np.stack([work.theta for work in batch if work.theta is not None for _ in work.images])


def encode(batch: Sequence[Work], outputs: Outputs) -> list[Any]:
    """The answer to each, or the error with it; None where nobody waits for it any more, which is not handed on."""
    answers, start = [], 0
    outputs.transformed_bytes = to_bytes(outputs.transformed)  # for all at once
    for work in batch:
        stop = start + len(work.images)
        answers.append(_encoded(work, outputs.rows(start, stop)))
        start = stop
    metrics.stages("encode", [work.stages.encoded - work.stages.inferred for work in batch if work.stages.encoded])
    return answers


def settle(batch: Sequence[Work], answers: Sequence[Any]) -> None:
    """Hand each its answer, or the error; on the thread of their event loop."""
    for work, answer in zip(batch, answers, strict=True):
        if work.reply.done():
            continue
        if isinstance(answer, Exception):
            work.reply.set_exception(answer)
        else:
            work.reply.set_result(answer)


def too_late(why: str = "before the prediction was made") -> Problem:
    """What a request is answered whose deadline has passed, which is counted."""
    metrics.refused("deadline")
    return Problem(504, f"the deadline passed {why}")


def gather(images: Sequence[np.ndarray]) -> Float32[np.ndarray, "b c h w"]:
    """The images in one array, in [0, 1]."""
    if all(image.dtype == np.uint8 for image in images):
        stacked = np.concatenate(images).reshape(len(images), *images[0].shape)
        return np.divide(stacked, np.float32(255))
    batch = np.empty((len(images), *images[0].shape), np.float32)
    for index, image in enumerate(images):
        batch[index] = image / np.float32(255) if image.dtype == np.uint8 else image
    return batch


def _encoded(work: Work, outputs: Outputs) -> Any:
    try:
        if work.reply.done():
            return None
        if not work.is_wanted():
            return too_late()
        answer = work.encode(outputs, work.stages)
    except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the others get their answers
        return error
    work.stages.encoded = time.perf_counter()
    return answer
