"""A network that answers in batches whatever has arrived."""

import asyncio
import math
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Float32

from service.observing import metrics
from service.predicting.outputs import Outputs
from service.predicting.threads import Threads
from service.predicting.turns import Turns
from service.predicting.work import Network, Stages, Unread, Work, gather, too_late
from service.problems import Problem

Answer = TypeVar("Answer")


class Predictor:
    """Collects images and runs the network on all that wait, never waiting for more while it is idle.

    A predictor that nobody refers to any more ends by itself, after it has answered what waits.

    Args:
        max_batch: most images in one pass through the network.
        max_waiting: most images that are taken and not answered yet.
        name: what its images are counted under.
        on_loop: work on the event loop (`service.predicting.turns`) instead of beside it (`service.predicting.threads`).
    """

    def __init__(
        self, network: Network, max_batch: int, max_waiting: int, name: str = "", on_loop: bool = False
    ) -> None:
        self.max_waiting = max_waiting
        self.unanswered = 0
        """Images that are taken and not answered yet."""
        self.taken = 0
        """Images that were ever taken."""
        self._network = network
        self.on_loop = on_loop
        self._worker = (Turns if on_loop else Threads)(network, max_batch, name)
        self._end = weakref.finalize(self, self._worker.end)
        self._end.atexit = False  # threads that wake up while the interpreter ends may crash it

    def check_room(self, images: int) -> None:
        """A Problem 429 where so many more images would be too many; before a body is read or a picture decoded."""
        if self.unanswered + images > self.max_waiting:
            metrics.refused("queue_full")
            raise Problem(429, f"at most {self.max_waiting} images may wait; try again later", {"Retry-After": "1"})

    def submit(
        self,
        images: Sequence[np.ndarray],
        encode: Callable[[Outputs, Stages], Answer],
        deadline: float = math.inf,
        details: bool = False,
        theta: Float32[np.ndarray, " p"] | None = None,
    ) -> "asyncio.Future[Answer]":
        """What `encode` makes of the outputs of these images alone; all of them are in one batch.

        It is called on the event loop's thread. A future that is cancelled takes its work along.

        Args:
            images: each (C, H, W) of the network's input size, bytes or float32 in [0, 1]; at most `max_batch`.
            encode: called, maybe on another thread, with the outputs and the times of the stages before it.
            deadline: on `time.monotonic`; from then on the answer is a Problem 504 and the work is dropped.
            details: whether the outputs hold them.
            theta: of all these images, instead of the network's own.

        Raises:
            Problem: 429 where too many images wait already.
        """
        self.check_room(len(images))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        timer = None
        if deadline < math.inf:
            timer = loop.call_at(loop.time() + deadline - time.monotonic(), _expire, future)

        def answered(_: "asyncio.Future[Answer]") -> None:
            self.unanswered -= len(images)
            if timer is not None:
                timer.cancel()

        future.add_done_callback(answered)
        self.unanswered += len(images)
        self.taken += len(images)
        self._worker.put(Work(images, encode, future, deadline, details, Stages(), loop, theta))
        return future

    def tell(
        self,
        unread: Unread,
        encode: Callable[[Outputs, Stages], Answer],
        told: Callable[[Answer | Exception], None],
        deadline: float,
        details: bool,
        theta: Float32[np.ndarray, " p"] | None = None,
    ) -> None:
        """As `submit` where all is done on the event loop, with one image that is still to be read, and without a future.

        Args:
            unread: what the image is made of, in its turn.
            told: called in the same turn with what `encode` made, or with the error.
        """
        self.check_room(1)
        self.unanswered += 1
        self.taken += 1
        reply = _Told(self, told)
        loop = asyncio.get_running_loop()
        self._worker.put(Work((), encode, reply, deadline, details, Stages(), loop, theta, unread))

    def run(
        self, images: Sequence[np.ndarray], details: bool = False, theta: Float32[np.ndarray, " p"] | None = None
    ) -> Outputs:
        """The outputs for these images, at once and on this thread; for programs without an event loop."""
        return self._network(gather(images), details, None if theta is None else np.stack([theta] * len(images)))

    def close(self) -> None:
        """Answer what waits, then end."""
        self._end()
        self._worker.join()


class _Told(Generic[Answer]):
    """Stands where a future would. Those call back in the next turn of the loop, this one at once."""

    __slots__ = ("_is_done", "_predictor", "_told")

    def __init__(self, predictor: Predictor, told: Callable[[Answer | Exception], None]) -> None:
        self._predictor, self._told, self._is_done = predictor, told, False

    def done(self) -> bool:
        return self._is_done

    def set_result(self, answer: Answer) -> None:
        self._tell(answer)

    def set_exception(self, error: Exception) -> None:
        self._tell(error)

    def _tell(self, answer: Answer | Exception) -> None:
        self._is_done = True
        self._predictor.unanswered -= 1
        self._told(answer)


def _expire(future: "asyncio.Future[Any]") -> None:
    if not future.done():
        future.set_exception(too_late())
