"""Where training processes run: what an engine has to offer, and who can be asked to do it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from training.jobs.devices import Device
from training.jobs.job import Job

How = Literal["interrupt", "kill"]

Unseen = Literal["gone", "lost"]
"""How a process ended whose exit code nobody can know: unseen, or together with all that its engine knew."""


class Executor(Protocol):
    """Starts training processes and watches over them, also over those that another one of its kind has started.

    A process is known by a name, which no other one of the same kind of executor ever has. No call waits for the network.
    """

    @property
    def total(self) -> int:
        """Devices that it has; a job that takes more is left to others."""

    @property
    def where(self) -> str:
        """What it runs on, for people."""

    def free(self) -> Sequence[Device]:
        """All devices that nobody has; what is not needed must be given back at once."""

    def submit(self, run: Path, attempt: int, devices: Sequence[Device]) -> str:
        """Start `python -m training --resume RUN --attempt N` on these devices; OSError where that is not possible."""

    def find(self, job: Job, run: Path) -> str | None:
        """The process that trains this job, if there may be one, whether or not its worker came to write it down."""

    def poll(self, process: str) -> int | Unseen | None:
        """None while it runs or may run; its exit code, negative for a signal; or that it ended and nobody can know how.

        Where it has ended, nothing that it started runs any more, or all of it finds the run folder withdrawn.
        """

    def waits(self, process: str) -> str | None:
        """For what it waits that has not begun; None where it has."""

    def stop(self, process: str, how: How) -> None:
        """Ask it to end, or kill it with all that it has started; nothing where it has ended."""

    def forget(self, process: str) -> None:
        """Another worker has it: it is not watched over here any more."""

    def used(self, process: str) -> float | None:
        """Seconds of processor time that it has used; None where nobody here can know it."""

    def logs(self, run: Path) -> Path:
        """The file with all that the processes of a run have printed."""
