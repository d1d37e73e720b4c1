"""What `serve.py` is to show, as ratios of what the load generator reported."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from serve_rows import FASTAPI, LITSERVE, OURS
from servers import rate_of

Cells = Mapping[tuple[str, str, int], list[dict[str, Any]]]
"""What the load generator reported in each round, by kind of request, server and connections."""


class Target(NamedTuple):
    """A ratio and the bound that it has to keep."""

    text: str
    of_rounds: Callable[[Cells], list[float]]
    """Nothing where a server was left out."""
    bound: float
    at_least: bool

    def is_met(self, ratios: list[float]) -> bool:
        median = statistics.median(ratios)
        return median >= self.bound if self.at_least else median <= self.bound


def _rates(kind: str, peer: str) -> Callable[[Cells], list[float]]:
    """This service's requests per second over a peer's, at 32 connections."""

    def of_rounds(cells: Cells) -> list[float]:
        theirs = cells.get((kind, peer, 32), [])
        return [rate_of(ours) / rate_of(other) for ours, other in zip(cells[kind, OURS, 32], theirs, strict=False)]

    return of_rounds


def _medians(cells: Cells) -> list[float]:
    pairs = zip(cells["multipart", OURS, 1], cells["multipart", FASTAPI, 1], strict=True)
    return [ours["p50_ms"] / other["p50_ms"] for ours, other in pairs]


def _tails(cells: Cells) -> list[float]:
    return [report["p99_ms"] / report["p50_ms"] for report in cells["multipart", OURS, 128]]


TARGETS = (
    Target("multipart, 32 connections: requests per second of (d) over (b)", _rates("multipart", FASTAPI), 6.0, True),
    Target("multipart, 32 connections: requests per second of (d) over (c)", _rates("multipart", LITSERVE), 8.0, True),
    Target("raw, 32 connections: requests per second of (d) over (b)", _rates("raw", FASTAPI), 8.0, True),
    Target("multipart, 1 connection: p50 of (d) over (b)", _medians, 1 / 3, False),
    Target("multipart, 128 connections: p99 over p50 of (d)", _tails, 3.0, False),
)
