"""Where training processes run: five calls that an engine has to offer, and who can be asked to do them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from training.jobs.devices import Device
from training.jobs.identity import Process

How = Literal["interrupt", "kill"]


class Executor(Protocol):
    """Starts training processes and watches over them, also over those that another one of its kind has started."""

    def submit(self, run: Path, attempt: int, devices: Sequence[Device]) -> Process:
        """Start `python -m training --resume RUN --attempt N` on these devices; OSError where that is not possible."""

    def poll(self, process: Process) -> int | Literal["gone"] | None:
        """None while it runs; its exit code, negative for a signal; or "gone", where nobody here can know it.

        Where it has ended, nothing that it started runs any more.
        """

    def stop(self, process: Process, how: How) -> None:
        """Ask it to end, or kill it with all that it has started; nothing where it has ended."""

    def used(self, process: Process) -> float | None:
        """Seconds of processor time that it has used; None where nobody here can know it."""

    def logs(self, run: Path) -> Path:
        """The file with all that the processes of a run have printed."""
