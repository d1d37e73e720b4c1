"""What a worker and the training process that it started tell each other, in small files of the run folder.

attempt.json    {"attempt": 3}: the start to which the run folder belongs. A process that an earlier start began publishes
                nothing more, unless the later one adopted it: {"attempt": 4, "adopted": 3}; see `Owner`. Nor does
                any process once {"withdrawn": true} stands beside it: it is taken for dead, or was to be killed
control.json    {"ask": "stop" or "pause", "attempt": 3}: what the process is asked to do between two batches
failure.json    {"attempt": 3, "code": 2, "reason": "..."}: why the process ended with an error; see `training.failures`
progress.json   how far it is; see `training.progress`
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from training.runs import write_json

Ask = Literal["stop", "pause"]

_PATIENCE = 1.0
"""Seconds for whoever writes to whom a run folder belongs."""


class Fenced(Exception):
    """The run folder belongs to a later attempt or to none, or another process trains in it."""


class Attempt:
    """One start of a job, as the process that was started sees it.

    Args:
        run: its folder.
        number: counts the starts of the job.
    """

    def __init__(self, run: Path, number: int) -> None:
        self.run = run
        self.started = self.number = number
        self._owner, self._control = Watched(run / "attempt.json"), Watched(run / "control.json")

    def check(self) -> None:
        """Raises `Fenced` where a later attempt has the run folder; one that adopted this process gives it its number."""
        owner = self._owner.read()
        if owner is None or owner["attempt"] < self.started:
            return
        if owner.get("withdrawn"):
            raise Fenced(f"the run folder {self.run} was withdrawn from attempt {owner['attempt']}")
        if owner["attempt"] == self.started:
            return
        if owner.get("adopted") != self.started:
            raise Fenced(f"attempt {owner['attempt']} has the run folder {self.run}, this is attempt {self.started}")
        self.number = owner["attempt"]

    def asked(self) -> Ask | None:
        """What this attempt is asked to do."""
        self.check()
        control = self._control.read()
        return control["ask"] if control is not None and control["attempt"] == self.number else None


def checking(attempt: Attempt | None) -> Callable[[], None]:
    """What raises `Fenced` where a later attempt has the run folder; nothing, where no worker started the run."""
    return (lambda: None) if attempt is None else attempt.check


class Watched:
    """The JSON of a small file that others replace; it is read again when it was, and else costs a look at its inode.

    A file that says nothing of an attempt, such as one that a disk has damaged, is as good as none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._values: dict[str, Any] | None = None

    def read(self) -> dict[str, Any] | None:
        """None where there is no such file."""
        try:
            status = os.stat(self.path)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                values = json.loads(self.path.read_text())
                self._values = values if isinstance(values, dict) and isinstance(values.get("attempt"), int) else None
                self._seen = seen
        except (FileNotFoundError, ValueError):
            self._seen = self._values = None
        return self._values


class Owner(NamedTuple):
    """To whom a run folder belongs."""

    attempt: int
    adopted: int | None
    """The number with which the process was started that may go on."""
    checkpoint: str | None
    """By what the checkpoint is known that the process began with."""

    withdrawn: bool | None = None
    """No process may go on, until a later attempt begins."""

    @property
    def began(self) -> int:
        """The number with which the process was started that may be running."""
        return self.attempt if self.adopted is None else self.adopted


def own(run: Path, attempt: int, adopted: int | None = None, checkpoint: str | None = None) -> None:
    """Write to whom the run folder belongs from now on; see `Owner`.

    Raises:
        Fenced: it belongs to a later attempt.
    """
    with _alone(run):
        before = owner(run)
        if before is not None and before.attempt > attempt:
            raise Fenced(f"attempt {before.attempt} has the run folder {run}, this is attempt {attempt}")
        _write(run, Owner(attempt, adopted, checkpoint))


def owner(run: Path) -> Owner | None:
    """To whom the run folder belongs."""
    found = Watched(run / "attempt.json").read()
    if found is None:
        return None
    return Owner(found["attempt"], found.get("adopted"), found.get("checkpoint"), found.get("withdrawn"))


def withdraw(run: Path, began: int) -> None:
    """See to it that the process that was started with this number publishes nothing more, wherever it runs and whether or
    not a signal reaches it; nothing, where a later one has the run folder."""
    with _alone(run):
        found = owner(run)
        if found is None or found.began <= began:
            _write(run, (found or Owner(began, None, None))._replace(withdrawn=True))


@contextlib.contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Nobody else writes to whom the run folder belongs between what is read and what is written of it here; unless whoever
    does so stands still, or the file system knows no locks."""
    with (run / ".owner").open("ab") as file:
        until = time.monotonic() + _PATIENCE
        while not _locked(file) and time.monotonic() < until:
            time.sleep(0.01)
        yield


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _write(run: Path, values: Owner) -> None:
    write_json(run / "attempt.json", {name: value for name, value in values._asdict().items() if value is not None})


def ask(run: Path, what: Ask, attempt: int) -> None:
    """Ask the process of this attempt for something; it looks between two batches."""
    write_json(run / "control.json", {"ask": what, "attempt": attempt})


def ask_nothing(run: Path) -> None:
    """Forget what was asked of an earlier attempt."""
    (run / "control.json").unlink(missing_ok=True)
