"""Training processes on this machine, in sessions of their own: they outlive a worker that is killed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from training.child import STEPS_BACK, ended, kill_group
from training.jobs.adoption import find_process
from training.jobs.devices import Device, Devices, find_gpus
from training.jobs.environment import clean
from training.jobs.executor import How
from training.jobs.identity import find, is_alive, named, place, processor_time
from training.jobs.job import Job

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
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def total(self) -> int:
        return self.devices.total

    @property
    def where(self) -> str:
        return f"{self.total} GPUs" if self.devices.gpus else f"{self.total} at a time on the CPU"

    def free(self) -> Sequence[Device]:
        return self.devices.take_free()

    def submit(self, run: Path, attempt: int, devices: Sequence[Device]) -> str:
        with self.logs(run).open("ab") as console:
            child = subprocess.Popen(
                [*self.program, "--resume", str(run), "--attempt", str(attempt)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=self.devices.environment(devices, clean(os.environ)),
                start_new_session=True,
                pass_fds=[device.lock.fileno() for device in devices if device.lock is not None],
            )
        if self.gives_way:
            _give_way(child.pid)
        process = find(child.pid)
        assert process is not None, "a process that was not waited for is there"
        self._children[process.name] = child
        return process.name

    def find(self, job: Job, run: Path) -> str | None:
        found = find_process(job, run)
        return found and found.name

    def poll(self, process: str) -> int | Literal["gone"] | None:
        child = self._children.get(process)
        if child is None:
            found = named(process)
            if found is not None and is_alive(found):
                return None
            if found is not None:
                kill_group(found.pid)
            return "gone"
        code = ended(child)
        if code is not None:
            del self._children[process]
        return code

    def waits(self, process: str) -> None:
        return None

    def stop(self, process: str, how: How) -> None:
        found = named(process)
        if found is None or (process not in self._children and not is_alive(found)):
            return
        if how == "kill":
            kill_group(found.pid)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGTERM)  # the others of its group are told by it

    def forget(self, process: str) -> None:
        return None  # nobody else can see it end

    def used(self, process: str) -> float | None:
        found = named(process)
        return None if found is None else processor_time(found)

    def logs(self, run: Path) -> Path:
        return run / "console.txt"


def this_machine(home: Path, slots: int, program: Sequence[str] = PROGRAM, gives_way: bool = False) -> Local:
    """One for the devices of this machine.

    Args:
        home: has the locks of devices, in `devices/`.
        slots: trainings at a time where there are no GPUs.
        program: see `Local`.
        gives_way: where there are no GPUs, trainings let everybody else on the machine go first.
    """
    devices = Devices(home.absolute() / "devices", place(), find_gpus(os.environ), slots)
    return Local(devices, program, gives_way and not devices.gpus)


def _give_way(pid: int) -> None:
    """Linux may share processors out among sessions before it looks at the processes in them."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, STEPS_BACK)
        Path(f"/proc/{pid}/autogroup").write_text(str(STEPS_BACK))
