"""Modules in processes of their own: how they end, and that they end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.child import run_module


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("pass", 0),
        ("import os; os._exit(2)", 2),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143),
    ],
)
def test_exit_codes_are_those_of_shells(statement: str, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_module("timeit", "-n", "1", "-r", "1", statement) == code


@pytest.mark.parametrize(("ends", "code"), [("os._exit(7)", 7), ("os.abort()", 130)])
def test_a_signal_reaches_the_module_once_and_its_exit_code_comes_back(tmp_path: Path, ends: str, code: int) -> None:
    ready = tmp_path / "ready"
    statement = (
        "import os, pathlib, time\n"
        f"try: pathlib.Path({str(ready)!r}).touch(); time.sleep(30)\n"
        f"except KeyboardInterrupt: time.sleep(0.5); {ends}"
    )
    run = f"import sys; from training.child import run_module; sys.exit(run_module('timeit', '-n1', '-r1', {statement!r}))"
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([sys.executable, "-c", run], stderr=subprocess.PIPE) as process:
            while not ready.exists():
                time.sleep(0.02)
            process.send_signal(number)
            assert process.wait(20) == code
        ready.unlink()


def test_what_an_interrupt_makes_of_an_import_is_no_error_of_its_own() -> None:
    code = (
        "import os, signal, sys\n"
        "from training.child import interruptible\n"
        "def work():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except KeyboardInterrupt: raise ImportError('by halves')\n"
        "sys.exit(interruptible(work))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 130


def test_an_error_of_the_work_is_raised() -> None:
    code = "from training.child import interruptible\ninterruptible(lambda: 1 // 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, b"ZeroDivisionError" in done.stderr) == (1, True)
