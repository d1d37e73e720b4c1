"""The jobs of a service, for `stn jobs`."""

from collections.abc import Iterator, Sequence

from service.client import Client
from service.commands.job_arguments import Launch
from service.jobs.schemas import Job, JobEvent, Jobs
from stn.config import to_dict
from training.jobs.states import State


class RemoteJobs:
    """Jobs as the service shows them."""

    def __init__(self, url: str, key: str | None) -> None:
        self._client = Client(url, key=key)
        self._jobs = self._client.jobs

    def create(self, launch: Launch) -> Job:
        if launch.folders:
            rule = "left out: a service knows where its data sets are (stn datasets add)"
            raise ValueError(f"--data.{launch.folders[0]} must be {rule}")
        values = to_dict(launch.config)
        data = {name: value for name, value in values["data"].items() if name not in ("root", "cache")}
        named = data if launch.dataset is None else {**data, "name": launch.dataset}
        return self._jobs.create({**values, "data": named}, idempotency_key=launch.idempotency_key)

    def list(self, states: Sequence[State], limit: int) -> Jobs:
        return self._jobs.list(limit=limit, status=states)

    def get(self, job: str) -> Job:
        return self._jobs.get(job)

    def change(self, verb: str, job: str) -> Job | None:
        if verb == "delete":
            self._jobs.delete(job)
            return None
        return {"stop": self._jobs.stop, "cancel": self._jobs.cancel, "resume": self._jobs.resume}[verb](job)

    def events(self, job: str) -> Iterator[JobEvent]:
        return self._jobs.events(job)

    def logs(self, job: str, follow: bool, tail: int | None) -> Iterator[str]:
        return self._jobs.logs(job, follow=follow, tail=tail)

    def close(self) -> None:
        self._client.close()
