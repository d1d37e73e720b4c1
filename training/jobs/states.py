"""The states of a job, and what each verb makes of them: pure functions, without a database.

    queued -> starting -> running -> (stopping) -> succeeded | failed | cancelled
              starting, running, stopping -> interrupted -> queued

Each of `cancel`, `stop`, `resume` and `delete` takes where a job stands and says where it goes, or raises `Forbidden`.
"""

from typing import Literal, NamedTuple

State = Literal["queued", "starting", "running", "stopping", "interrupted", "succeeded", "failed", "cancelled"]
Ended = Literal["succeeded", "failed", "cancelled"]
Asked = Literal["stop", "cancel"]
Failure = Literal["mistake", "resources", "crash"]

STATES: tuple[State, ...] = (
    "queued",
    "starting",
    "running",
    "stopping",
    "interrupted",
    "succeeded",
    "failed",
    "cancelled",
)
ENDED: tuple[Ended, ...] = ("succeeded", "failed", "cancelled")
HELD: tuple[State, ...] = ("starting", "running", "stopping")
"""A worker has the job."""
NEXT: dict[State, tuple[State, ...]] = {
    "queued": ("starting", "cancelled"),
    "starting": ("running", "stopping", "interrupted", *ENDED),
    "running": ("stopping", "interrupted", *ENDED),
    "stopping": ("interrupted", *ENDED),
    "interrupted": ("queued", "cancelled"),
    "succeeded": ("queued",),
    "failed": ("queued",),
    "cancelled": ("queued",),
}
"""Every lawful change of state."""


class Forbidden(ValueError):
    """A verb that the job's state forbids; the text names the verb, the rule and the state, `state` is the state."""

    def __init__(self, verb: str, rule: str, state: State) -> None:
        super().__init__(f"{verb} {rule}, and the job is {state}")
        self.state: State = state


class Standing(NamedTuple):
    """Where a job stands, as far as verbs ask."""

    state: State
    asked: Asked | None = None
    begun: bool = False
    """A training process has been started at least once."""
    stopped: bool = False
    """It succeeded because it was stopped."""
    measures: bool = False
    """It trains nothing, but measures a model."""


class Change(NamedTuple):
    """Where it goes, and why, in words for people."""

    state: State
    asked: Asked | None
    reason: str


def cancel(job: Standing) -> Change | None:
    """End it and discard what it learnt; None where that has been asked already."""
    if job.state in ENDED:
        raise Forbidden("cancel", "needs a job that has not ended", job.state)
    if job.state in HELD:
        return None if job.asked == "cancel" else Change("stopping", "cancel", "asked to cancel")
    return Change(
        "cancelled", None, "cancelled before it was started" if not job.begun else "cancelled while it waited"
    )


def stop(job: Standing) -> Change | None:
    """End it and keep its best weights; None where that has been asked already.

    A job that waits for its next attempt goes on waiting: that attempt stops at once.
    """
    if job.state in ENDED:
        raise Forbidden("stop", "needs a job that has not ended", job.state)
    if job.measures:
        raise Forbidden("stop", "needs a training: of a measurement nothing can be kept (cancel it)", job.state)
    if job.asked == "cancel":
        raise Forbidden("stop", "needs a job that is not being cancelled", job.state)
    if job.asked == "stop":
        return None
    if job.state in HELD:
        return Change("stopping", "stop", "asked to stop")
    if not job.begun:
        raise Forbidden("stop", "needs a job that has begun (cancel it)", job.state)
    return Change(job.state, "stop", "asked to stop: the next attempt keeps the best weights and ends")


def resume(job: Standing) -> Change:
    """Let it go on from its last checkpoint."""
    if job.state == "succeeded" and not job.stopped:
        raise Forbidden("resume", "needs a job that failed, was cancelled or was stopped", job.state)
    if job.state not in ENDED:
        raise Forbidden("resume", "needs a job that has ended", job.state)
    return Change("queued", None, "resumed")


def delete(job: Standing) -> None:
    """Nothing, or Forbidden."""
    if job.state not in ENDED:
        raise Forbidden("delete", "needs a job that has ended (cancel it first)", job.state)
