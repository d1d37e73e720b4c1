"""A job as its row says, an event of its history, and what goes wrong with them; without a database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from training.jobs.states import ENDED, HELD, Asked, Failure, Standing, State

Kind = Literal["state", "progress", "metrics", "sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row, as it was when it was read."""

    id: str
    """Lower-case letters and digits; ids sort by the time of creation."""
    name: str
    """Of the model that it trains or measures."""
    config: dict[str, Any]
    """The whole config of its work (`training.runs.Work`), as `stn.config.to_dict` gives it."""
    state: State
    reason: str
    """Why it is in this state, for people."""
    failure: Failure | None
    """`mistake` in the config or data, `resources` such as a full disk, or a `crash`."""
    stopped: bool
    """It succeeded because it was stopped."""
    asked: Asked | None
    """What a user asked for and the worker has still to do."""
    attempt: int
    """The fencing number: counts up with each start and each take-over."""
    crashes: int
    """In a row, without a newer checkpoint between them."""
    devices: int
    """GPUs it takes, or slots of a machine without GPUs."""
    owner: str | None
    """Name of the key that created it."""
    created: datetime
    updated: datetime
    """When its row last changed."""
    started: datetime | None
    """When its first process was started."""
    finished: datetime | None
    step: int
    steps: int | None
    eta_seconds: float | None
    scores: dict[str, float] | None
    model_version: int | None
    """The last version that it registered."""
    gpus: list[str]
    """UUIDs of those it runs on, or ran on last."""
    worker: str | None
    """Who has it, or had it last."""
    place: str | None
    """That of the worker."""
    process: str | None
    """What trains it, as the worker's executor knows it: PID.STARTED in `place`, or a submission to a cluster."""
    beat: int
    """Counts up while its worker lives."""
    dataset: str | None
    """Of the service's own data sets, if it uses one."""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def held(self) -> bool:
        return self.state in HELD

    @property
    def measures(self) -> bool:
        """It trains nothing, but measures a model."""
        return self.config.get("task") == "invariance"

    @property
    def standing(self) -> Standing:
        return Standing(self.state, self.asked, self.started is not None, self.stopped, self.measures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a job."""

    id: int
    """1, 2, 3 ... of each job, without gaps."""
    job: str
    time: datetime
    kind: Kind
    data: dict[str, Any]
    """Of kind `state`: state, reason, asked and attempt."""


class JobNotFound(LookupError):
    """No job has this id."""


class KeyReused(ValueError):
    """An idempotency key came with another body than before."""


class LeaseLost(Exception):
    """Another attempt or worker has the job, or nobody: whoever hears this has it no longer and may write nothing."""


class NewerDatabase(ValueError):
    """A newer program has upgraded the database: only who runs this one can mend that."""


class StoreUnavailable(Exception):
    """The database does not answer or stays locked; the same call may work later, without a restart."""
