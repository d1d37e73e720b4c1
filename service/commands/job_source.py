"""Where `stn jobs` finds jobs, as `/v1/jobs` shows them: at a service or, without one, in the home folder."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from service.commands.job_arguments import Address, Launch
from service.commands.local_jobs import LocalJobs
from service.commands.remote_jobs import RemoteJobs
from service.jobs.schemas import Job, JobEvent, Jobs
from service.settings import ClientSettings, Settings
from training.jobs.states import State


@runtime_checkable
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
