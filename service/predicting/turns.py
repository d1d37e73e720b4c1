"""Work that is done on the event loop itself, between reading requests: for a network that is fast.

Threads beside the event loop take the interpreter from it in the middle of a request, several times in each, and batches are
small, because a thread begins with the first request that it sees. Where the network takes less than what Python does around
it, that costs more than a second core brings. Here all requests that came in one turn of the loop make up a batch; more
cores are used by more processes.

A turn does one thing for all of them, then the next: it finds their pictures, decodes them, runs the network, makes the
answers, sends them. Each takes half as long where it follows on itself, for its code and data are still in the processor's
caches. And as all are answered in the turn, those who ask again at once are read together before the next one: batches stay
large.
"""

import asyncio
from collections import deque

from service.predicting.work import Network, Work, encode, infer, parted, settle, too_late


class Turns:
    """One batch in each turn of the loop, until nothing waits."""

    def __init__(self, network: Network, max_batch: int, name: str) -> None:
        self._network, self._max_batch, self._name = network, max_batch, name
        self._waiting: deque[Work] = deque()
        self._seen = 0
        """Of what waits, what had come when it was looked last."""
        self._last = 0
        """How many the batch before had."""

    def put(self, work: Work) -> None:
        """Let it be done in the next turn."""
        self._waiting.append(work)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._take_turn)

    def end(self) -> None:
        """What waits is answered all the same."""

    def join(self) -> None:
        """There is nothing to wait for: with the loop, its turns end."""

    def _take_turn(self) -> None:
        is_alone = len(self._waiting) == self._last == 1  # as one client is that asks again and again
        if self._seen < len(self._waiting) < self._max_batch and not is_alone:
            # While these were read others may have come. The loop looks at its sockets, and does not wait.
            self._seen = len(self._waiting)
            asyncio.get_running_loop().call_soon(self._take_turn)
            return
        self._seen = 0
        batch = self._next_batch()
        self._last = len(batch)
        batch = [work for work in batch if work.is_found()]
        batch = [work for work in batch if work.is_decoded()]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._take_turn)
        for part in parted(batch):
            try:
                settle(part, encode(part, infer(self._network, self._name, part)))
            except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the loop must go on
                settle(part, [error] * len(part))

    def _next_batch(self) -> list[Work]:
        batch: list[Work] = []
        count = 0
        while self._waiting and count + self._waiting[0].size <= self._max_batch:
            work = self._waiting.popleft()
            if work.is_wanted():
                batch.append(work)
                count += work.size
            elif not work.reply.done():
                work.reply.set_exception(too_late())
        return batch
