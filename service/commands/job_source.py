"""Where `stn jobs` finds jobs: at a service or, without one, in the database of the home folder. Both as `/v1/jobs` shows them."""

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from service.commands.local_jobs import LocalJobs
from service.commands.remote_jobs import RemoteJobs
from service.settings import Settings, client_settings


class Address(NamedTuple):
    """Of a service, and the key for it."""

    url: str | None
    key: str | None


class JobSource(Protocol):
    """Jobs, as JSON."""

    def create(
        self, config: dict[str, Any], dataset: str | None, folders: Sequence[str], idempotency_key: str | None
    ) -> dict[str, Any]: ...

    def list(self, states: Sequence[str], limit: int) -> dict[str, Any]: ...

    def get(self, job: str) -> dict[str, Any]: ...

    def find(self, start: str) -> str:
        """The id of the one job whose id begins so; a ValueError where there is none, or several."""

    def change(self, verb: str, job: str) -> dict[str, Any] | None: ...

    def events(self, job: str) -> Iterator[dict[str, Any]]:
        """From the first on, as they come, until the job has ended."""

    def logs(self, job: str, follow: bool, tail: int | None) -> Iterator[bytes]: ...

    def close(self) -> None: ...
