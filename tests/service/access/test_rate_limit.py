"""How often a client may ask; the clock is given."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.rate_limit import BURST_SECONDS, RateLimit


def ask(limit: RateLimit, client: str, rate: float, times: list[float]) -> list[bool]:
    return [limit.wait(client, rate, now) == 0 for now in times]


def test_a_quiet_client_may_ask_a_burst_and_then_its_rate() -> None:
    limit = RateLimit()
    assert ask(limit, "a", 10.0, [100.0] * 25) == [True] * 20 + [False] * 5
    assert limit.wait("a", 10.0, 100.0) == pytest.approx(0.1)
    assert ask(limit, "a", 10.0, [100.1, 100.1]) == [True, False]
    assert ask(limit, "a", 10.0, [200.0] * 21) == [True] * 20 + [False]


def test_a_rate_below_one_in_the_burst_lets_one_at_a_time() -> None:
    limit = RateLimit()
    assert ask(limit, "a", 0.1, [0.0, 0.0, 9.0, 10.0, 19.9, 20.0]) == [True, False, False, True, False, True]


def test_clients_do_not_share_a_rate() -> None:
    limit = RateLimit()
    assert ask(limit, "a", 0.1, [0.0, 0.0]) == [True, False]
    assert ask(limit, "b", 0.1, [0.0, 0.0]) == [True, False]


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=60), st.floats(0.2, 30))
def test_no_span_of_time_sees_more_than_the_rate_and_a_burst(gaps: list[float], rate: float) -> None:
    limit, now, taken = RateLimit(), 1000.0, []
    for gap in gaps:
        now += gap
        if limit.wait("a", rate, now) == 0:
            taken.append(now)
    burst = max(1.0, rate * BURST_SECONDS)
    for index, start in enumerate(taken):
        for count, end in enumerate(taken[index:], 1):
            assert count <= burst + rate * (end - start) + 1e-6


@given(st.floats(0.2, 30), st.integers(1, 40))
def test_whoever_waits_as_told_is_let_in(rate: float, asked: int) -> None:
    limit, now = RateLimit(), 1000.0
    for _ in range(asked):
        if wait := limit.wait("a", rate, now):
            now += wait
            assert limit.wait("a", rate, now) == 0


def test_processes_that_open_one_file_count_together(tmp_path: Path) -> None:
    file = tmp_path / "rates"
    now = time.monotonic()
    first, second = RateLimit(file), RateLimit(file)
    assert ask(first, "a", 1.0, [now]) + ask(second, "a", 1.0, [now, now]) == [True, True, False]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    code = "import sys; from pathlib import Path; from service.access.rate_limit import RateLimit; "
    code += "print(RateLimit(Path(sys.argv[1])).wait('a', 1.0, float(sys.argv[2])))"
    done = subprocess.run([sys.executable, "-c", code, file, str(now)], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(1.0)
    assert os.path.getsize(file) == 16 + 8 * 2**16


def test_what_another_rate_or_an_earlier_start_of_the_machine_left_does_not_lock_out(tmp_path: Path) -> None:
    limit = RateLimit(tmp_path / "rates")
    assert ask(limit, "a", 0.001, [1e6, 1e6]) == [True, False]
    assert ask(limit, "a", 10.0, [1e6]) == [True]
    assert ask(limit, "a", 10.0, [5.0]) == [True]


def test_a_file_of_another_size_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "rates").write_bytes(b"x" * 100)
    assert ask(RateLimit(tmp_path / "rates"), "a", 1.0, [0.0, 0.0, 0.0]) == [True, True, False]
