"""Counters and histograms that cost little to count in, handed over to prometheus_client before they are read.

A histogram of prometheus_client takes a lock twice for each value and, where several processes share their numbers, writes
two entries of a file. `docs/monitoring.md` has what both cost.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from threading import Lock

from prometheus_client import Counter, Histogram


class Tally:
    """A counter with labels."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._added: dict[tuple[str | int, ...], float] = defaultdict(float)
        self._lock = Lock()

    def add(self, labels: tuple[str | int, ...], amount: float = 1.0) -> None:
        with self._lock:
            self._added[labels] += amount

    def publish(self) -> None:
        """Hand over what was added since the last time."""
        with self._lock:
            added, self._added = self._added, defaultdict(float)
        for labels, amount in added.items():
            self._counter.labels(*labels).inc(amount)


class Distribution:
    """A histogram with one label."""

    def __init__(self, histogram: Histogram, bounds: tuple[float, ...]) -> None:
        """The bounds are those that the histogram was made with, ascending."""
        self._histogram = histogram
        self._bounds = bounds
        self._added: dict[str, list[float]] = defaultdict(self._nothing)
        self._lock = Lock()

    def add(self, label: str, value: float) -> None:
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            row = self._added[label]
            row[bucket] += 1.0
            row[-1] += value

    def add_all(self, label: str, values: Iterable[float]) -> None:
        """The same as `add` for each value, in half the time or less where there are several."""
        bounds = self._bounds
        with self._lock:
            row = self._added[label]
            for value in values:
                row[bisect_left(bounds, value)] += 1.0
                row[-1] += value

    def publish(self) -> None:
        """Hand over what was added since the last time."""
        with self._lock:
            added, self._added = self._added, defaultdict(self._nothing)
        for label, row in added.items():
            child = self._histogram.labels(label)
            # prometheus_client has no public way to add many values at once.
            child._sum.inc(row[-1])
            for bucket, count in zip(child._buckets, row, strict=False):
                if count:
                    bucket.inc(count)

    def _nothing(self) -> list[float]:
        """A count per bucket, the last of them without an upper bound, then the sum of the values."""
        return [0.0] * (len(self._bounds) + 2)
