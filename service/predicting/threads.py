"""Work that two threads do: one runs the network, the other makes answers of what it gives, beside the event loop."""

import contextlib
import queue
import threading
from collections.abc import Sequence
from enum import Enum
from typing import Any

from service.predicting.outputs import Outputs
from service.predicting.work import Network, Work, encode, infer, parted, settle


class Threads:
    """The device works on the next batch while answers are made of the last one.

    Nothing that is answered is kept while a thread waits: whoever made the request may refer to the predictor, which ends
    when nobody does.
    """

    def __init__(self, network: Network, max_batch: int, name: str) -> None:
        lines = _Lines(network, max_batch, name)
        self._waiting = lines.waiting
        self._threads = [
            threading.Thread(target=target, name=thread, daemon=True)
            for target, thread in ((lines.run_network, "network"), (lines.run_encoding, "encoding"))
        ]
        for thread in self._threads:
            thread.start()

    def put(self, work: Work) -> None:
        """Let it be done with the next batch."""
        self._waiting.put(work)

    def end(self) -> None:
        """Let the threads end when all that waits is answered."""
        self._waiting.put(_End.END)

    def join(self) -> None:
        """Wait until they have."""
        for thread in self._threads:
            thread.join()


class _End(Enum):
    """Stands behind the last work."""

    END = "end"


class _Lines:
    """What the two threads share."""

    def __init__(self, network: Network, max_batch: int, name: str) -> None:
        self.network, self.max_batch, self.name = network, max_batch, name
        self.waiting: queue.SimpleQueue[Work | _End] = queue.SimpleQueue()
        self.inferred: queue.SimpleQueue[tuple[list[Work], Outputs] | None] = queue.SimpleQueue()

    def run_network(self) -> None:
        """Batch after batch."""
        left: Work | _End | None = None
        while not isinstance(work := left or self.waiting.get(), _End):
            left = self._infer_from(work)
            del work
        self.inferred.put(None)

    def run_encoding(self) -> None:
        """Answers of one batch after the other."""
        while (item := self.inferred.get()) is not None:
            _deliver(item[0], encode(*item))
            del item

    def _infer_from(self, first: Work) -> Work | _End | None:
        """Run the batch that begins with this work; what came out of the queue without fitting, where something did."""
        batch, left = self._batch_from(first)
        batch = [work for work in batch if work.is_wanted()]
        for part in parted(batch):
            try:
                self.inferred.put((part, infer(self.network, self.name, part)))
            except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the thread must go on
                _deliver(part, [error] * len(part))
        return left

    def _batch_from(self, first: Work) -> tuple[list[Work], Work | _End | None]:
        """The first and what waits behind it, and what came out of the queue without fitting, where something did."""
        batch, count = [first], len(first.images)
        while not self.waiting.empty():
            work = self.waiting.get()
            if isinstance(work, _End) or count + len(work.images) > self.max_batch:
                return batch, work
            count += len(work.images)
            batch.append(work)
        return batch, None


def _deliver(batch: Sequence[Work], answers: Sequence[Any]) -> None:
    """Hand each its answer on its event loop; one call for all that share one."""
    for loop in {work.loop for work in batch}:
        places = [place for place, work in enumerate(batch) if work.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all who waited
            loop.call_soon_threadsafe(settle, [batch[place] for place in places], [answers[place] for place in places])
