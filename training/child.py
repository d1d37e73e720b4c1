"""A module in a process of its own, which ends when this one does."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

PR_SET_PDEATHSIG = 1
"""Source: the manual page of Linux's prctl."""


def start_module(
    *arguments: str,
    stdout: IO[Any] | None = None,
    stderr: IO[Any] | None = None,
    env: Mapping[str, str] | None = None,
    gives_way: bool = False,
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """`python -m ARGUMENTS`, which is interrupted, on Linux, when this process is gone, however that came.

    It has a session of its own, so that a terminal's Ctrl-C reaches this process alone.

    Args:
        stdout, stderr, env, pass_fds: as of `subprocess.Popen`.
        gives_way: let everybody else go first, where all processors are busy.
    """
    command = [sys.executable, "-P", "-m", *arguments]  # -P: nothing is imported from the current folder
    prepare = _give_way if gives_way else _end_with_parent
    return subprocess.Popen(
        command,
        stdout=stdout,
        stderr=stderr,
        env=env,
        pass_fds=pass_fds,
        start_new_session=True,
        preexec_fn=prepare,
    )


def ended(child: "subprocess.Popen[bytes]") -> int | None:
    """The exit code of a child with a session of its own, once it and all that it started has ended; None before."""
    # Seen, but not taken note of: until then nobody else gets its number, by which those that it started are found.
    if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        return None
    kill_group(child.pid)
    return child.wait()


def kill_group(pid: int) -> None:
    """The process, which leads its group, and whatever is left of those it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def run_module(*arguments: str) -> int:
    """The exit code of `python -m ARGUMENTS`; 128 and the number of the signal that ended it, as shells have it.

    What asks this process to end, a Ctrl-C or SIGTERM, ends that one in good order. Where it cannot, since an import that is
    cut off by halves may abort it, the exit code is 130 all the same.
    """
    process = start_module(*arguments)
    asked = False

    def end(*_: object) -> None:
        nonlocal asked
        asked = True
        process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
        if code < 0:
            return 130 if asked else 128 - code
        return code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Ask the kernel for a Ctrl-C when the parent process is gone; it counts from the first moment on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


STEPS_BACK = 10
"""Of 19: a tenth of what others get, so that on a machine that is never idle it is done in the end."""


def _give_way() -> None:
    """Linux may share processors out among sessions before it looks at the processes in them."""
    _end_with_parent()
    os.nice(STEPS_BACK)
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(STEPS_BACK))
    except OSError:
        return  # a system without


def interruptible(work: Callable[[], int]) -> int:
    """The exit code of this work; 130 where Ctrl-C or SIGTERM, which both raise a KeyboardInterrupt in it, ended it.

    Started in the background by a shell, a process ignores Ctrl-C; SIGTERM would end it without a word to its children.
    Imports that are cut off by halves may raise anything at all.
    """
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        return work()
    except KeyboardInterrupt:
        return 130
    except Exception:
        if interrupted:
            return 130
        raise
