"""Who a process is: its number alone is given to others once it is gone."""

import contextlib
import os
import platform
import secrets
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process of this place; no other one ever has both numbers here."""

    pid: int
    started: str
    """Clock ticks since the machine was started."""

    @property
    def name(self) -> str:
        """PID.STARTED"""
        return f"{self.pid}.{self.started}"


def place() -> str:
    """Where process numbers mean what they mean here: this start of this machine, this namespace of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"


def find(pid: int) -> Process | None:
    """The process that has this number now, also where it has ended and was not waited for."""
    found = _state(pid)
    return found and Process(pid, found[1])


def named(name: str) -> Process | None:
    """The process that `Process.name` gave this name; None where it is no such name."""
    pid, _, started = name.partition(".")
    return Process(int(pid), started) if pid.isdigit() and started.isdigit() else None


def is_alive(process: Process) -> bool:
    """Whether it has not ended."""
    found = _state(process.pid)
    return found is not None and found[1] == process.started and found[0] not in "ZX"


def processor_time(process: Process) -> float | None:
    """Seconds of processor time that it has used, with all that it has started; None where it is gone.

    Those of a process that has ended count for whoever waits for it, and for nobody in between.
    """
    return _ticks(process.pid) / os.sysconf("SC_CLK_TCK") if is_alive(process) else None


def _ticks(pid: int) -> int:
    try:
        own = sum(map(int, _stat(pid)[11:15]))
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return own + sum(map(_ticks, _children(pid)))


def _children(pid: int) -> set[int]:
    """Of all its threads; of none where the kernel does not tell."""
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found |= {int(child) for child in path.read_text().split()}
    return found


def _stat(pid: int) -> list[str]:
    """What the kernel says of it after its name, which may hold anything: the third field and those that follow."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _state(pid: int) -> tuple[str, str] | None:
    """A letter, Z for one that has ended, and when the process was started."""
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], fields[19]


def arguments(process: Process) -> list[str]:
    """Its command line; empty where it is gone."""
    try:
        text = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rstrip("\0").split("\0") if is_alive(process) else []


def is_gone(worker: str, its_place: str | None, here: str) -> bool:
    """Whether it is known here that the process of the worker of this name has ended."""
    process = worker_process(worker) if its_place == here else None
    return process is not None and not is_alive(process)


def new_worker() -> str:
    """A name for a worker in this process, which no other one ever has: HOST/PID.STARTED.CHANCE."""
    me = find(os.getpid())
    assert me is not None
    return f"{platform.node()}/{me.name}.{secrets.token_hex(2)}"


def worker_process(name: str) -> Process | None:
    """The process of the worker that has this name, if it is a name of `new_worker`'s; of the worker's own place."""
    process, _, chance = name.rpartition("/")[2].rpartition(".")
    return named(process) if chance else None
