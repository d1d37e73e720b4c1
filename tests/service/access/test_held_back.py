"""Refusals that are told after a while."""

import asyncio
import time

import pytest

from service.access import held_back
from service.access.held_back import HeldBack


async def _times(held: HeldBack, count: int) -> list[float]:
    """How long each of these is held back."""
    began, times = time.monotonic(), []
    for _ in range(count):
        held.later(lambda: times.append(time.monotonic() - began))
    while len(times) < count:
        await asyncio.sleep(0.005)
    return times


def test_few_are_told_after_the_seconds_and_many_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_back, "AT_ONCE", 10)
    times = asyncio.run(_times(HeldBack(0.1), 40))
    assert min(times) >= 0.1
    # The first 10 after the time itself, the last of 40 after nearly 4 times as long: 10 in each 0.1 s.
    assert times[10] < 0.25
    assert times[-1] >= 0.38


def test_nobody_waits_longer_than_the_longest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_back, "AT_ONCE", 1)
    monkeypatch.setattr(held_back, "MOST_SECONDS", 0.2)
    assert max(asyncio.run(_times(HeldBack(0.1), 100))) < 1


def test_without_seconds_all_are_told_at_once() -> None:
    told: list[int] = []
    held = HeldBack(0.0)
    held.later(lambda: told.append(1))
    assert told == [1]
    asyncio.run(asyncio.wait_for(held.wait(), 0.5))


def test_at_the_end_all_are_told_and_the_next_ones_at_once() -> None:
    async def end() -> float:
        held = HeldBack(10.0)
        waiting = asyncio.create_task(held.wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        began = time.monotonic()
        held.end()
        await waiting
        await held.wait()
        return time.monotonic() - began

    assert asyncio.run(end()) < 1


def test_one_that_is_not_waited_for_any_more_is_told_to_nobody() -> None:
    async def leave() -> None:
        held = HeldBack(0.05)
        waiting = asyncio.create_task(held.wait())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.sleep(0.1)
        assert waiting.cancelled()

    asyncio.run(leave())
