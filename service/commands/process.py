"""A module of `training` in a process of its own."""

import signal
import subprocess
import sys
from types import FrameType


def run_module(*arguments: str) -> int:
    """The exit code of `python -m ARGUMENTS`; what asks this process to end ends that one in good order."""
    process = subprocess.Popen([sys.executable, "-m", *arguments])

    def end(number: int, _: FrameType | None) -> None:
        if number == signal.SIGTERM:  # Ctrl-C reaches the other process by itself
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
        return 130 if code == -signal.SIGINT else code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
