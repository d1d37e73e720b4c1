"""Endless processes that take turns at the processor, so that what else it has to do meets all of them alike."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

SKIPPED = 2
"""Steps of a turn that do not count: the one that was halted, and one that finds its memory outside the caches."""


class Contestant:
    """A process, with those that it starts, which is halted except in its turns; `contestants` starts and ends it.

    It must print `time.perf_counter()`, a clock that on Linux all processes share, at the end of each of its steps.
    """

    def __init__(self, process: "subprocess.Popen[str]", errors: Path) -> None:
        self.process, self.errors = process, errors

    def turn(self, steps: int) -> float:
        """Seconds of a step, on the average of this many."""
        since = time.perf_counter()
        self._signal(signal.SIGCONT)
        ends = (end for end in self._ends() if end > since)
        for _ in range(SKIPPED):
            first = next(ends)
        for _ in range(steps):
            last = next(ends)
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # until it is halted, or has ended
        return (last - first) / steps

    def _ends(self) -> Iterator[float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield float(line)
        raise SystemExit(f"{shlex.join(map(str, self.process.args))}:\n{self.errors.read_text()}")  # type: ignore[arg-type]

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)


@contextmanager
def contestants(commands: dict[str, list[str]], warm_up: int) -> Iterator[dict[str, Contestant]]:
    """Processes of these scripts beside this file with their arguments, halted after so many steps.

    Raises:
        SystemExit: one of them ended; with what it wrote of the reason.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = {}
        for number, (name, (script, *arguments)) in enumerate(commands.items()):
            errors = folder / str(number)
            started[name] = Contestant(stack.enter_context(_process(script, arguments, errors)), errors)
            started[name].turn(warm_up)
        yield started


@contextmanager
def _process(script: str, arguments: list[str], errors: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    with errors.open("w") as written:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=written, text=True, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
