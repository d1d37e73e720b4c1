"""Rates of replicas that share a PostgreSQL, each with a table of its own."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from service.access.rate_exchange import RateExchange
from service.access.rate_limit import RateLimit, client_id
from tests.databases import PostgreSQL


def until(fact: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.02)


def counted(rates: RateLimit, client: str = "a") -> float:
    """Seconds until this client's bucket is full again."""
    return rates._full[rates._place(client)] - time.monotonic()


def test_replicas_count_together_also_after_their_server_was_away(
    postgresql: PostgreSQL, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgresql.database()
    one, other = RateLimit(), RateLimit()
    processes = [RateLimit(tmp_path / "rates") for _ in range(2)]  # of a third replica, which share a table
    with ExitStack() as stack:
        exchanges = [RateExchange(one, url), RateExchange(other, url)]
        exchanges += [RateExchange(rates, url, tmp_path) for rates in processes]
        for exchange in exchanges:
            stack.enter_context(closing(exchange)).start()
        # Who listens is not known: a client of its own is asked for until all have heard of it.
        until(
            lambda: one.wait("probe", 100.0) >= 0 and min(counted(other, "probe"), counted(processes[0], "probe")) > 0
        )
        began = time.monotonic()
        assert [one.wait("a", 0.1) > 0 for _ in range(2)] == [False, True]
        until(lambda: counted(other) > 0 and counted(processes[1]) > 0)
        assert other.wait("a", 0.1) > 0
        # Once, not by each process of the table, and not told on by those that heard of it.
        assert counted(processes[0]) == pytest.approx(10 - (time.monotonic() - began), abs=1)
        assert counted(one) == pytest.approx(10 - (time.monotonic() - began), abs=1)

        postgresql.stop(signal.SIGINT)
        assert one.wait("b", 0.1) == 0
        until(lambda: "counted by each replica alone" in caplog.text)
        assert other.wait("b", 0.1) == 0
        postgresql.start()
        until(lambda: one.wait("again", 100.0) >= 0 and counted(other, "again") > 0)


def test_what_several_replicas_let_in_at_the_same_moment_is_paid_for_later() -> None:
    limit = RateLimit()
    limit.begin_to_tell()
    assert [limit.wait("a", 10.0, 0.0) for _ in range(20)] == [0.0] * 20
    assert limit.counted() == pytest.approx({"a": 2.0})
    assert limit.counted() == {}
    limit.count_of_others(client_id("a"), 4.0, now=0.0)  # two others have let in as many
    assert limit.wait("a", 10.0, 0.0) == pytest.approx(4.1)
    assert limit.wait("a", 10.0, 4.2) == 0


@pytest.mark.parametrize(
    "message", ["", "{}", "[]", '{"from": "x", "seconds": {"zz": 1}}', '{"from": "x", "seconds": 1}']
)
def test_what_others_say_on_the_channel_is_ignored(message: str) -> None:
    RateExchange(RateLimit(), "postgresql+psycopg://stn@nowhere/stn")._hear(message)
