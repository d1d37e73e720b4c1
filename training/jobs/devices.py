"""What trainings are given of this machine: its GPUs, by UUID, or, where it has none, slots.

A device is taken by a lock on a file, which the training process inherits: it is free when that process has ended, whoever
started or adopted it, and never before.
"""

import fcntl
import logging
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

log = logging.getLogger(__name__)


class Device(NamedTuple):
    """One that is ours until its file is closed, here and by whoever inherited it."""

    name: str
    lock: IO[bytes] | None = None
    """None of one that a cluster gives."""
    is_gpu: bool = False
    """Its name is the UUID of a GPU."""


class Devices:
    """The devices of this machine, shared with all workers on it that have the same folder.

    Args:
        folder: for the locks.
        place: tells the slots of this machine from those of others that share the folder.
        gpus: UUIDs.
        slots: trainings at a time where there are no GPUs.
    """

    def __init__(self, folder: Path, place: str, gpus: Iterable[str], slots: int) -> None:
        self.folder = folder
        self.gpus = tuple(gpus)
        self.slots = slots
        self.names = self.gpus or tuple(f"slot-{place.replace(':', '-')}-{number}" for number in range(slots))

    @property
    def total(self) -> int:
        return len(self.names)

    def take_free(self) -> list[Device]:
        """All that nobody has; what is not needed must be given back at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return [device for name in self.names if (device := self._take(name)) is not None]

    def _take(self, name: str) -> Device | None:
        file = (self.folder / f"{name}.lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return Device(name, file, bool(self.gpus))

    def environment(self, taken: Iterable[Device], given: Mapping[str, str]) -> dict[str, str]:
        """The environment that is given, with which devices a training process has; a number of threads in it holds."""
        if not self.gpus:
            return {"OMP_NUM_THREADS": str(max(1, _cores() // self.slots)), **given}
        visible = ",".join(device.name for device in taken)
        return {**given, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": visible}


def give_back(devices: Iterable[Device]) -> None:
    """Close the files; a training process that inherited one still has its device."""
    for device in devices:
        if device.lock is not None:
            device.lock.close()


def find_gpus(environment: Mapping[str, str]) -> list[str]:
    """UUIDs of this machine's GPUs, of those that CUDA_VISIBLE_DEVICES leaves visible where it is set."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode:
        log.warning("nvidia-smi ends with exit code %d: jobs run on the CPU", done.returncode)
        return []
    found = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    return (
        found if visible is None else [uuid for entry in visible.split(",") if (uuid := _named(entry.strip(), found))]
    )


def _named(entry: str, found: list[str]) -> str | None:
    """The GPU that an entry of CUDA_VISIBLE_DEVICES means: its place in the list, or the beginning of its UUID."""
    if entry.isdigit():
        return found[int(entry)] if int(entry) < len(found) else None
    return next((uuid for uuid in found if entry and uuid.startswith(entry)), None)


def _cores() -> int:
    return len(os.sched_getaffinity(0))
