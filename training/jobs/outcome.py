"""What the end of a training process means for its job."""

import json
import signal
from pathlib import Path
from typing import Literal, NamedTuple

from training.jobs.states import Ended, Failure

Code = int | Literal["gone", "lost", "moved", "unbegun"]
"""The exit code of a training process, negative for a signal; or why nobody can know it: see below."""

GONE: Literal["gone"] = "gone"
"""It ended unseen."""
LOST: Literal["lost"] = "lost"
"""Its cluster has forgotten it, or never began it, which is no fault of the job's."""
MOVED: Literal["moved"] = "moved"
"""Whoever had the job was in another place, on another machine or before this one was started again."""
UNBEGUN: Literal["unbegun"] = "unbegun"
"""Its worker was gone before it was started, as far as anybody knows."""


class Outcome(NamedTuple):
    """Where the job goes."""

    state: Ended | None
    """None: it is tried again."""
    reason: str
    failure: Failure | None = None
    stopped: bool = False
    scores: dict[str, float] | None = None
    crashed: bool = False


class Word(NamedTuple):
    """What a process said of its end with an error, in failure.json."""

    code: int
    reason: str


class Closing(NamedTuple):
    """What a run says of its end, in result.json."""

    stopped: bool
    scores: dict[str, float]


def closing(run: Path, began: int, attempt: int) -> Closing | None:
    """The closing record of the run, or None where it has none yet, or one that cannot be read.

    A run that came to its end has done so whichever attempt wrote it down; that it was stopped counts for the process that
    was, since a later one goes on.

    Args:
        run: the run folder.
        began: the number with which the process was started.
        attempt: that of the job.
    """
    try:
        found = json.loads((run / "result.json").read_text())
        stopped = found["status"] == "stopped"
        return Closing(stopped, found["scores"]) if not stopped or began <= found["attempt"] <= attempt else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def word(run: Path, began: int, attempt: int) -> Word | None:
    """Why the process ended that was started as `began`, as it wrote down itself; None where it did not."""
    try:
        found = json.loads((run / "failure.json").read_text())
        return Word(int(found["code"]), str(found["reason"])) if began <= found["attempt"] <= attempt else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def judge(code: Code, record: Closing | None, paused: bool, said: str) -> Outcome:
    """What becomes of a job whose process has ended.

    Args:
        code: how it ended; where that cannot be known, the closing record decides.
        record: of the run.
        paused: the worker asked it to end.
        said: its last words.
    """
    if record is not None and code in (0, GONE, LOST, MOVED, UNBEGUN):
        reason = "stopped as asked, with the best weights" if record.stopped else "trained to its end"
        return Outcome("succeeded", reason, stopped=record.stopped, scores=record.scores)
    if code == 2:
        return Outcome("failed", said, failure="mistake")
    if code == 3:
        return Outcome("failed", said, failure="resources")
    if code in (5, 6):
        return Outcome(None, said, failure="resources", crashed=True)
    if paused and code != 4:
        return Outcome(None, "the worker was stopped")
    if code == MOVED:
        return Outcome(None, "its worker is gone, and where that was nothing can be seen from here")
    if code == LOST:
        return Outcome(None, "the cluster lost it")
    if code == UNBEGUN:
        return Outcome(None, "its worker was gone before the training began")
    return Outcome(None, f"{_told(code)}: {said}" if said else _told(code), crashed=True)


def last_words(console: Path) -> str:
    """The last line of a file, without `error: ` before it."""
    try:
        with console.open("rb") as file:
            file.seek(max(0, console.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "").removeprefix("error: ")


def _told(code: Code) -> str:
    match code:
        case "gone":
            return "the training process was gone when a worker looked for it"
        case 0:
            return "the training process ended without a result"
        case 4:
            return "another process trains in the run folder"
        case 130:
            return "the training process was interrupted from outside"
        case int() if code < 0:
            memory = ", as the kernel does where memory runs out" if code == -signal.SIGKILL else ""
            return f"the training process was killed by {_signal(-code)}{memory}"
    return f"the training process ended with exit code {code}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def wait_before(crashes: int, first: float) -> float:
    """Seconds before a job is tried again that has crashed so often before: 1, 2, 4 ... 30 where the first is 1."""
    return float(min(first * 2 ** min(crashes, 10), 30 * first))
