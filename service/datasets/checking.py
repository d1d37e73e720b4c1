"""The check of an upload as those see it who wait for it."""

import dataclasses
import json
import logging
import signal
import subprocess
import tempfile
import threading

from service.datasets.task import NO_ROOM, REFUSED, Task
from service.problems import Problem
from training.child import start_module

log = logging.getLogger(__name__)


class Checking:
    """One check, which may be ended at any time."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self._changing = threading.Lock()
        self._is_unwanted = False

    def run(self) -> None:
        """Check, in a process that gives way to those who answer requests.

        It ends with the thread that called this.

        Raises:
            Problem: 422 where the upload is refused, 507 where the disk is full.
        """
        with tempfile.TemporaryFile() as complaints:
            with self._changing:
                if self._is_unwanted:
                    return
                task = json.dumps(dataclasses.asdict(self._task))
                self._process = start_module("service.datasets.check", task, stderr=complaints, gives_way=True)
            code = self._process.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip()
        if code and not self._is_unwanted:
            raise _problem(code, said)

    def end(self) -> None:
        """End it, where it has not ended; `run` returns then."""
        with self._changing:
            self._is_unwanted = True
            if self._process is not None:
                self._process.kill()


def _problem(code: int, said: str) -> Exception:
    last = said.rpartition("\n")[2]
    if code == REFUSED:
        return Problem(422, f"the data set is refused: {last}")
    if code == NO_ROOM:
        return Problem(507, f"the disk of the datasets folder is full: {last}")
    log.error("checking a data set failed with exit code %d: %s", code, said)
    if code == -signal.SIGKILL:  # by the system, most likely for its memory
        return Problem(503, "the check of the data set was killed: try again", {"Retry-After": "30"})
    if code < 0:
        broken = f"opening a file in it broke the process that checks them ({signal.Signals(-code).name})"
        return Problem(422, f"the data set is refused: {broken}")
    return ChildProcessError("a data set could not be checked; the log of the service has the reason")
