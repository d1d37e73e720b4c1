"""Training processes on this machine, in sessions of their own: they outlive a worker that is killed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from training.child import STEPS_BACK
from training.jobs.devices import Device, Devices
from training.jobs.environment import clean
from training.jobs.executor import How
from training.jobs.identity import Process, find, is_alive, processor_time

PROGRAM = (sys.executable, "-P", "-m", "training")  # -P: nothing is imported from the current folder


class Local:
    """An `Executor`.

    Args:
        devices: of this machine.
        program: what is started, with `--resume RUN --attempt N`.
        gives_way: it lets everybody else go first, where all processors are busy.
    """

    def __init__(self, devices: Devices, program: Sequence[str] = PROGRAM, gives_way: bool = False) -> None:
        self.devices = devices
        self.program = program
        self.gives_way = gives_way
        self._children: dict[Process, subprocess.Popen[bytes]] = {}

    def submit(self, run: Path, attempt: int, devices: Sequence[Device]) -> Process:
        with self.logs(run).open("ab") as console:
            child = subprocess.Popen(
                [*self.program, "--resume", str(run), "--attempt", str(attempt)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=self.devices.environment(devices, clean(os.environ)),
                start_new_session=True,
                pass_fds=[device.lock.fileno() for device in devices],
            )
        if self.gives_way:
            _give_way(child.pid)
        process = find(child.pid)
        assert process is not None, "a process that was not waited for is there"
        self._children[process] = child
        return process

    def poll(self, process: Process) -> int | Literal["gone"] | None:
        child = self._children.get(process)
        if child is None:
            if is_alive(process):
                return None
            _kill_group(process.pid)
            return "gone"
        # Seen, but not taken note of: until then nobody else gets its number, by which those that it started are found.
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            return None
        _kill_group(child.pid)
        del self._children[process]
        return child.wait()

    def stop(self, process: Process, how: How) -> None:
        if process not in self._children and not is_alive(process):
            return
        if how == "kill":
            _kill_group(process.pid)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)  # the others of its group are told by it

    def used(self, process: Process) -> float | None:
        return processor_time(process)

    def logs(self, run: Path) -> Path:
        return run / "console.txt"


def _kill_group(pid: int) -> None:
    """The process, which leads its group, and whatever is left of those it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _give_way(pid: int) -> None:
    """Linux may share processors out among sessions before it looks at the processes in them."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, STEPS_BACK)
        Path(f"/proc/{pid}/autogroup").write_text(str(STEPS_BACK))
