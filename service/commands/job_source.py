"""Where `stn jobs` finds jobs, as `/v1/jobs` shows them: at a service or, without one, in the home folder."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from service.commands.local_jobs import LocalJobs
from service.commands.remote_jobs import RemoteJobs
from service.jobs.schemas import Job, JobEvent, Jobs
from service.settings import ClientSettings, Settings
from training.config import TrainingConfig
from training.jobs.states import State


class Address(NamedTuple):
    """Of a service, and the key for it."""

    url: str | None
    key: str | None


class Launch(NamedTuple):
    """What a job is to do."""

    config: TrainingConfig
    dataset: str | None
    """Of the service's own, instead of the config's."""
    folders: Sequence[str]
    """Those of the data's `root` and `cache` that were given."""
    idempotency_key: str | None


class JobSource(Protocol):
    """Jobs, wherever they are."""

    def create(self, launch: Launch) -> Job: ...

    def list(self, states: Sequence[State], limit: int) -> Jobs: ...

    def get(self, job: str) -> Job: ...

    def change(self, verb: str, job: str) -> Job | None:
        """The job after `stop`, `cancel` or `resume`; None after `delete`."""

    def events(self, job: str) -> Iterator[JobEvent]:
        """From the first on, as they come, until the job has ended."""

    def logs(self, job: str, follow: bool, tail: int | None) -> Iterator[str]:
        """Lines."""

    def close(self) -> None: ...


def job_source(address: Address, settings: Settings) -> JobSource:
    """The service at this address or at STN_URL; without either, the home folder."""
    environment = ClientSettings()
    url = address.url or environment.url
    if url is None:
        return LocalJobs(settings)
    return RemoteJobs(url, address.key or environment.key.get_secret_value() or None)
