"""A network with a thread of its own, which answers in batches whatever has arrived."""

import asyncio
import contextlib
import math
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float32

from service import metrics
from service.outputs import Outputs
from service.problems import Problem

Answer = TypeVar("Answer")


@runtime_checkable
class Network(Protocol):
    """Images in [0, 1] in, outputs out."""

    def __call__(self, images: Float32[np.ndarray, "b c h w"], details: bool = False) -> Outputs: ...


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


@dataclass(slots=True, eq=False)
class _Work:
    images: Sequence[np.ndarray]
    encode: Callable[[Outputs, Stages], Any]
    future: "asyncio.Future[Any]"
    deadline: float
    details: bool
    stages: Stages

    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not self.future.done() and time.monotonic() < self.deadline


class Predictor:
    """Collects images and runs the network on all that wait, never waiting for more while it is idle.

    One thread runs the network, another makes answers of what it gives, so that the device works on the next batch
    meanwhile. A predictor that nobody refers to any more ends by itself, after it has answered what waits.

    Args:
        max_batch: most images in one pass through the network.
        max_waiting: most images that are taken and not answered yet.
        name: what its images are counted under.
    """

    def __init__(self, network: Network, max_batch: int, max_waiting: int, name: str = "") -> None:
        self._network = network
        self._lines = _Lines(network, max_batch, max_waiting, name)
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self._lines.run_network, "network"), (self._lines.run_encoding, "encoding"))
        ]
        for thread in self._threads:
            thread.start()
        self._end = weakref.finalize(self, self._lines.waiting.put, _End.END)
        self._end.atexit = False  # threads that wake up while the interpreter ends may crash it

    @property
    def unanswered(self) -> int:
        """Images that are taken and not answered yet."""
        return self._lines.unanswered

    def check_room(self, images: int) -> None:
        """A Problem 429 where so many more images would be too many; before a body is read or a picture decoded."""
        self._lines.check_room(images)

    def submit(
        self,
        images: Sequence[np.ndarray],
        encode: Callable[[Outputs, Stages], Answer],
        deadline: float = math.inf,
        details: bool = False,
    ) -> "asyncio.Future[Answer]":
        """What `encode` makes of the outputs of these images alone; all of them are in one batch.

        It is called on the event loop's thread. A future that is cancelled takes its work along.

        Args:
            images: each (C, H, W) of the network's input size, bytes or float32 in [0, 1]; at most `max_batch`.
            encode: called on another thread, with the outputs and the times of the stages before it.
            deadline: on `time.monotonic`; from then on the answer is a Problem 504 and the work is dropped.
            details: whether the outputs hold them.

        Raises:
            Problem: 429 where too many images wait already.
        """
        lines = self._lines
        lines.check_room(len(images))
        loop = asyncio.get_running_loop()
        work = _Work(images, encode, loop.create_future(), deadline, details, Stages())
        lines.unanswered += len(images)
        work.future.add_done_callback(lambda _: lines.answered(work))
        if deadline < math.inf:
            timer = loop.call_at(loop.time() + deadline - time.monotonic(), _expire, work.future)
            work.future.add_done_callback(lambda _: timer.cancel())
        lines.waiting.put(work)
        return work.future

    def run(self, images: Sequence[np.ndarray], details: bool = False) -> Outputs:
        """The outputs for these images, at once and on this thread; for programs without an event loop."""
        return self._network(gather(images), details)

    def close(self) -> None:
        """Answer what waits, then end the threads."""
        self._end()
        for thread in self._threads:
            thread.join()


def gather(images: Sequence[np.ndarray]) -> Float32[np.ndarray, "b c h w"]:
    """The images in one array, in [0, 1]."""
    batch = np.empty((len(images), *images[0].shape), np.float32)
    for index, image in enumerate(images):
        if image.dtype == np.uint8:
            np.divide(image, np.float32(255), out=batch[index])
        else:
            batch[index] = image
    return batch


class _End(Enum):
    """Stands behind the last work."""

    END = "end"


class _Lines:
    """What the two threads share with the predictor, and no reference back to it."""

    def __init__(self, network: Network, max_batch: int, max_waiting: int, name: str) -> None:
        self.network, self.max_batch, self.max_waiting, self.name = network, max_batch, max_waiting, name
        self.unanswered = 0
        self.waiting: queue.SimpleQueue[_Work | _End] = queue.SimpleQueue()
        self.inferred: queue.SimpleQueue[tuple[list[_Work], Outputs] | None] = queue.SimpleQueue()

    def check_room(self, images: int) -> None:
        if self.unanswered + images > self.max_waiting:
            metrics.refused("queue_full")
            raise Problem(429, f"at most {self.max_waiting} images may wait; try again later", {"Retry-After": "1"})

    def answered(self, work: _Work) -> None:
        self.unanswered -= len(work.images)

    def run_network(self) -> None:
        """Batch after batch."""
        left: _Work | _End | None = None
        while not isinstance(work := left or self.waiting.get(), _End):
            left = self._infer_from(work)
            # Whoever made the request may refer to the predictor: nothing that is answered is kept while this waits.
            del work
        self.inferred.put(None)

    def _infer_from(self, first: _Work) -> _Work | _End | None:
        """Run the batch that begins with this work; what came out of the queue without fitting, where something did."""
        batch, left = self._batch_from(first)
        self._infer(batch)
        return left

    def _batch_from(self, first: _Work) -> tuple[list[_Work], _Work | _End | None]:
        """The first and what waits behind it, and what came out of the queue without fitting, where something did."""
        batch, count = [first], len(first.images)
        while not self.waiting.empty():
            work = self.waiting.get()
            if isinstance(work, _End) or count + len(work.images) > self.max_batch:
                return batch, work
            count += len(work.images)
            batch.append(work)
        return batch, None

    def _infer(self, batch: list[_Work]) -> None:
        batch = [work for work in batch if work.is_wanted()]
        if not batch:
            return
        taken = time.perf_counter()
        try:
            images = gather([image for work in batch for image in work.images])
            gathered = time.perf_counter()
            outputs = self.network(images, any(work.details for work in batch))
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the thread must go on
            _deliver(batch, [error] * len(batch))
            return
        inferred = time.perf_counter()
        for work in batch:
            stages = work.stages
            stages.taken, stages.gathered, stages.inferred, stages.batch = taken, gathered, inferred, len(images)
        # Before its answer is on the way, so that whoever has one finds it counted.
        metrics.stages("queue", [taken - work.stages.arrived for work in batch])
        metrics.stages("batch", [gathered - taken] * len(batch))
        metrics.stages("infer", [inferred - gathered] * len(batch))
        metrics.batch(self.name, len(images))
        self.inferred.put((batch, outputs))

    def run_encoding(self) -> None:
        """Answers of one batch after the other."""
        while (item := self.inferred.get()) is not None:
            _encode(*item)
            del item  # likewise


def _encode(batch: list[_Work], outputs: Outputs) -> None:
    answers, start = [], 0
    for work in batch:
        stop = start + len(work.images)
        answers.append(_encoded(work, outputs.rows(start, stop)))
        start = stop
    metrics.stages("encode", [w.stages.encoded - w.stages.inferred for w in batch if w.stages.encoded])
    _deliver(batch, answers)


def _encoded(work: _Work, outputs: Outputs) -> Any:
    try:
        if not work.is_wanted():
            return None
        answer = work.encode(outputs, work.stages)
    except Exception as error:  # noqa: BLE001 - likewise
        return error
    work.stages.encoded = time.perf_counter()
    return answer


def _deliver(batch: Sequence[_Work], answers: Sequence[Any]) -> None:
    """Hand each its answer, or the error, on its event loop; one call for all that share one."""
    for loop in {work.future.get_loop() for work in batch}:
        pairs = [(w.future, a) for w, a in zip(batch, answers, strict=True) if w.future.get_loop() is loop]
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all who waited
            loop.call_soon_threadsafe(_settle, pairs)


def _settle(pairs: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, answer in pairs:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _expire(future: "asyncio.Future[Any]") -> None:
    if not future.done():
        metrics.refused("deadline")
        future.set_exception(Problem(504, "the deadline passed before the prediction was made"))
