"""A training process in a Ray cluster: what is known of it, whether it lives, and how it ended."""

import contextlib
import dataclasses
import time
from pathlib import Path

from training.failures import UNREACHABLE
from training.jobs.adoption import holder
from training.jobs.executor import How, Unseen
from training.jobs.ray_api import Submission
from training.storage.runs import SEEN

QUIET = 20.0
"""Seconds without a sign of life after which a process that the cluster no longer knows is given up for lost."""

NOT_THERE, NO_STORAGE = 72, 73
"""Exit codes of a machine that has no such run folder, or does not reach the storage."""


@dataclasses.dataclass
class Placed:
    """A process, as far as this worker knows."""

    run: Path
    began: int
    """The number with which it was started."""
    devices: int
    is_sent: bool
    """The cluster may have heard of it: it is never sent again."""
    found: Submission | None = None
    """What the cluster said last."""
    is_forgotten: bool = False
    """The cluster answers, and does not know it."""
    asked: How | None = None
    is_withdrawn: bool = False
    is_told: bool = False
    """The cluster knows what was asked."""
    submitted: float = dataclasses.field(default_factory=time.monotonic)
    trouble: str | None = None
    """Why the cluster does not take it."""
    lacks: str | None = None
    """What the cluster did not have in all when it was sent."""
    shown: tuple[object, ...] = ()
    is_holder: bool = False
    """It was seen to hold its run folder."""
    since: float = dataclasses.field(default_factory=time.monotonic)
    """When it last gave a sign of life."""

    @property
    def is_pending(self) -> bool:
        return self.found is not None and self.found.status == "PENDING"

    @property
    def has_begun(self) -> bool:
        return self.found is not None and not self.is_pending


def exit_of(placed: Placed, found: Submission) -> int | Unseen:
    """How a process ended of which the cluster knows it, with its reason in what the process has printed."""
    if found.code == NOT_THERE:
        _say(placed, f"the machine has no folder {placed.run}, or may not write there")
    if found.code == NO_STORAGE:
        _say(placed, "the machine does not reach the storage; its log of the job there says why")
        return UNREACHABLE
    if found.code is not None:
        return found.code
    if found.status == "FAILED":
        _say(placed, (found.message.strip().splitlines() or ["it failed"])[0][:300])
    return "lost" if found.trouble == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT" else "gone"


def _say(placed: Placed, what: str) -> None:
    with contextlib.suppress(OSError), (placed.run / "console.txt").open("a") as console:
        console.write(f"error: Ray: {what}\n")


def lives(placed: Placed) -> bool:
    """Whether it holds its run folder, or, where that was never seen, has written there a moment ago."""
    if holder(placed.run) is not None:
        placed.is_holder = True
        return True
    if placed.is_holder:
        return False
    shown = tuple(_seen(placed.run / name) for name in ("progress.json", "console.txt", SEEN))
    if shown != placed.shown:
        placed.shown, placed.since = shown, time.monotonic()
    return time.monotonic() < placed.since + QUIET


def _seen(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
