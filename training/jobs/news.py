"""What has happened in a run folder since one last looked: numbers of validations, pictures, progress."""

import json
import time
from pathlib import Path
from typing import Any

from training.attempts import Watched
from training.jobs.job import Kind
from training.probe_folder import FOLDER, step_of

SECONDS, MOST_SECONDS = 2.0, 30.0
"""Between two events of progress, in the beginning and of a training that lasts for hours: see `pause`."""


class News:
    """Of one start of a job. What was found waits in `events` until somebody has written it down and clears it."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.events: list[tuple[Kind, dict[str, Any]]] = []
        self.progress: dict[str, Any] | None = None
        """The last of this start."""
        self._said: dict[str, Any] | None = None
        self._file, self._told = Watched(run / "progress.json"), -MOST_SECONDS
        self._since = time.monotonic()
        self._lines = Lines(run / "metrics.jsonl")
        self._frames: set[str] = set()

    def look(self, began: int, attempt: int, at_once: bool = False) -> None:
        """Read what is new.

        Args:
            began: the number with which the process was started.
            attempt: that of the job, of those who have it.
            at_once: also what would be told later.
        """
        now = time.monotonic()
        self._see_progress(began, attempt)
        if self.progress != self._said and (at_once or now >= self._told + pause(now - self._since)):
            assert self.progress is not None
            self.events.append(("progress", self.progress))
            self._said, self._told = self.progress, now
        if self.progress is not None:  # before, it may still drop lines that it will repeat
            self.events += [("metrics", line) for line in self._lines.read()]
            self.events += [("sample", sample) for sample in self._new_samples()]

    def _see_progress(self, began: int, attempt: int) -> None:
        found = self._file.read()
        if found is not None and began <= found["attempt"] <= attempt:
            self.progress = found

    def _new_samples(self) -> list[dict[str, Any]]:
        names = {path.name for path in (self.run / FOLDER).glob("step-*.json")} - self._frames
        self._frames |= names
        steps = sorted(step for name in names if (step := step_of(name)) is not None)
        return [{"file": self._sheet(step), "step": step} for step in steps]

    def _sheet(self, step: int) -> str | None:
        """The name of the picture that was made at this step, before the frame was; None where none was."""
        name = f"step-{step:06d}.png"
        return name if (self.run / "samples" / name).exists() else None


def pause(elapsed: float) -> float:
    """Seconds to the next event of progress: a thousandth of the time that a training has taken, within bounds.

    A day makes about 5,000 events then, and not 43,200; what was told once stays, and its numbers have no gaps.
    """
    return min(max(SECONDS, elapsed / 1000), MOST_SECONDS)


class Lines:
    """The lines of JSON in a file that grows, or is replaced and then begins anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode, self._place = 0, 0

    def read(self) -> list[dict[str, Any]]:
        """Those that came since the last call; one that is not complete comes when it is."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return []
        if status.st_ino != self._inode or status.st_size < self._place:
            self._inode, self._place = status.st_ino, 0
        if status.st_size == self._place:
            return []
        with self.path.open("rb") as file:
            file.seek(self._place)
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._place += len(whole) + 1
        return [line for line in map(_read, whole.splitlines()) if line is not None]


def _read(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where it was damaged."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
