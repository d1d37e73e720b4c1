"""When a training counts as one that hangs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.jobs.workers import wait_for
from training.jobs.identity import find, processor_time
from training.jobs.silence import BUSY, LOOK, Silence

ALLOWED = 60.0


class Training:
    """What a worker sees of one, second by second."""

    def __init__(self, run: Path) -> None:
        self.run, self.now, self.used, self.written = run, 1000.0, 5.0, 0
        self.silence = Silence(run / "progress.json", run / "console.txt", ALLOWED)

    def write(self, phase: str, attempt: int = 3) -> None:
        self.written += 1
        values = {"attempt": attempt, "phase": phase, "step": self.written}
        (self.run / "progress.json").write_text(json.dumps(values))

    def hangs_after(self, busy: float, most: float) -> float | None:
        """Seconds until it counts as one that hangs, at this share of a processor; None where it does not in so many."""
        begin = self.now
        while self.now < begin + most:
            self.now += LOOK
            self.used += LOOK * busy
            if self.silence.look(self.now, self.used, began=3):
                return self.now - begin
        return None


@pytest.fixture
def training(tmp_path: Path) -> Training:
    made = Training(tmp_path)
    assert made.silence.look(made.now, made.used, began=3) is None
    return made


@pytest.mark.parametrize("phase", ["data", "training", "testing"])
def test_one_that_does_nothing_hangs_whatever_it_did_before(training: Training, phase: str) -> None:
    training.write(phase)
    assert training.hangs_after(0.0001, 2 * ALLOWED) == pytest.approx(ALLOWED, abs=2 * LOOK)


def test_one_whose_processor_time_nobody_knows_hangs_only_while_it_trains(training: Training) -> None:
    def hangs() -> bool:
        training.now += 2 * LOOK
        return training.silence.look(training.now, None, began=3) is not None

    for phase, hung in (("data", False), ("training", True)):
        training.write(phase)
        assert any(hangs() for _ in range(int(2 * ALLOWED))) is hung


def test_one_that_reads_data_or_tests_may_work_for_ever_without_a_word(training: Training) -> None:
    for phase in ("data", "testing"):
        training.write(phase)
        assert training.hangs_after(0.5, 3 * BUSY * ALLOWED) is None
    training.write("training", attempt=2)  # of the start before: this one still reads data
    assert training.hangs_after(0.5, 3 * BUSY * ALLOWED) is None


def test_one_that_trains_may_work_for_a_while_without_a_batch(training: Training) -> None:
    training.write("training")
    assert training.hangs_after(1.0, 2 * BUSY * ALLOWED) == pytest.approx(BUSY * ALLOWED, abs=2 * LOOK)


def test_batches_and_lines_are_signs_of_life(training: Training) -> None:
    for number in range(20):
        assert training.hangs_after(0.0, 0.9 * ALLOWED) is None
        if number % 2:
            training.write("training")
        else:
            (training.run / "console.txt").write_text("x" * number)


def test_a_worker_that_stood_still_has_seen_nothing(training: Training) -> None:
    training.now += 3600
    assert training.silence.look(training.now, training.used, began=3) is None
    assert training.hangs_after(0.0, 2 * ALLOWED) == pytest.approx(ALLOWED, abs=3 * LOOK)


def test_processor_time_is_that_of_all_that_a_process_has_started() -> None:
    burn = "import time\nwhile time.process_time() < {}: pass\n"
    code = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {burn.format(0.3)!r}])\n"
    code += f"subprocess.Popen([sys.executable, '-c', {(burn.format(0.3) + 'time.sleep(60)')!r}])\n{burn.format(0.3)}"
    with subprocess.Popen([sys.executable, "-c", code + "time.sleep(60)"], start_new_session=True) as parent:
        try:
            process = find(parent.pid)
            assert process is not None
            wait_for(lambda: (processor_time(process) or 0.0) >= 0.8)  # 0.9 in six counts, each rounded down to 0.01
        finally:
            os.killpg(parent.pid, signal.SIGKILL)
    assert processor_time(process) is None
