"""Training jobs, asked about by the client that blocks."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from service.client import job_calls
from service.client.calls import Call
from service.client.connection import UPLOAD_TIMEOUT, Connection
from service.client.errors import DeadlinePassed
from service.client.job_calls import NOTHING, Asked, Config
from service.client.job_streams import EventStream, LogStream, Patience
from service.jobs.schemas import Artifact, Checkpoint, Job, JobEvent, JobEvents, Jobs, Probe
from training.jobs.states import State

FIRST_LOOK, LONGEST_LOOK = 0.2, 2.0
"""Seconds between two looks at a job that is waited for."""


class JobsClient:
    """`Client.jobs`.

    >>> with Client(url) as client:
    ...     job = client.jobs.create({"preset": "digits"})
    ...     for event in client.jobs.events(job.id):
    ...         print(event.kind, event.data)
    """

    def __init__(self, connection: Connection, http: httpx2.Client, answer: Callable[..., Any]) -> None:
        self._connection, self._http, self._answer = connection, http, answer

    def create(self, config: Config, *, idempotency_key: str | None = None) -> Job:
        """A new job, or the one that this key made before.

        Args:
            config: a whole training config, or its fields that are not the default, as `POST /v1/jobs` takes them.
            idempotency_key: by default a new one, so that a lost answer makes no second job.
        """
        return self._ask(job_calls.create(config, idempotency_key))

    def invariance(
        self,
        model: str,
        asked: Asked = NOTHING,
        *,
        version: int | None = None,
        data: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """A new job that measures how far a model keeps up when its pictures are moved, or the one that this key made.

        >>> with Client(url) as client:
        ...     job = client.jobs.invariance("handwriting", {"movements": ["rotation"], "images": 200})
        ...     client.jobs.wait(job.id)
        ...     client.jobs.download(job.id, "report/index.html", "invariance.html")

        Args:
            model: its name.
            asked: how it is tried: a whole `InvarianceConfig`, or its fields that are not the default.
            version: of the model; the one that answers by default.
            data: what to change of the model's own data, or other data by their `name`.
            idempotency_key: by default a new one, so that a lost answer makes no second job.
        """
        return self._ask(job_calls.invariance(model, asked, version, data, idempotency_key))

    def list(self, *, after: str | None = None, limit: int = 50, status: Sequence[State] = ()) -> Jobs:
        """A page of jobs, the newest first: those created before the job `after`, in these states or in any."""
        return self._ask(job_calls.list_jobs(after, limit, status))

    def get(self, job_id: str) -> Job:
        return self._ask(job_calls.get(job_id))

    def stop(self, job_id: str) -> Job:
        """End it, and keep its best weights."""
        return self._ask(job_calls.ask(job_id, "stop", "lost"))

    def cancel(self, job_id: str) -> Job:
        """End it, and discard what it has learnt."""
        return self._ask(job_calls.ask(job_id, "cancel", "lost"))

    def resume(self, job_id: str) -> Job:
        """Let it go on that failed, was cancelled or was stopped."""
        return self._ask(job_calls.ask(job_id, "resume", "refused"))

    def delete(self, job_id: str) -> None:
        """Delete it, with its run folder, once it has ended."""
        self._ask(job_calls.delete(job_id))

    def events_page(self, job_id: str, *, after: int = 0, limit: int = 100) -> JobEvents:
        """The events after this one that there are now."""
        return self._ask(job_calls.events(job_id, after, limit))

    def events(self, job_id: str, *, after: int = 0) -> Iterator[JobEvent]:
        """The events after this one as they come, until the job has ended; a connection that breaks off is made again."""
        stream, patience = EventStream(job_id, after), Patience(self._connection)
        while not stream.ended:
            outcome: httpx2.Response | httpx2.RequestError | None = None
            try:
                with self._opened(stream.request()) as response:
                    if response.is_success:
                        patience.connected()
                        for chunk in response.iter_bytes():
                            for event in stream.read(chunk):
                                patience.progress()
                                yield event
                    else:
                        response.read()
                        outcome = response
            except httpx2.RequestError as error:
                outcome = error
            if not stream.ended:
                time.sleep(patience.pause(outcome))

    def logs(self, job_id: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """What its processes have written, line by line.

        Args:
            job_id: its id.
            follow: go on until the job has ended.
            tail: only so many of the last lines that there are.
        """
        stream, patience = LogStream(job_id, tail), Patience(self._connection)
        done = False
        while not done:
            done = not follow or self.get(job_id).ended  # before the last look
            outcome: httpx2.Response | httpx2.RequestError | None = None
            try:
                with self._opened(stream.request(follow=not done)) as response:
                    if response.is_success:
                        patience.connected()
                        stream.begin(response)
                        for chunk in response.iter_bytes():
                            patience.progress()
                            yield from stream.read(chunk)
                        if not done:
                            time.sleep(FIRST_LOOK)
                        continue
                    response.read()
                    outcome = response
            except httpx2.RequestError as error:
                outcome = error
            done = False
            time.sleep(patience.pause(outcome))
        yield from stream.rest()

    def metrics(self, job_id: str) -> "list_[dict[str, float]]":
        """What was measured at each validation."""
        return self._ask(job_calls.metrics(job_id))

    def probe(self, job_id: str, after: int = 0) -> Probe:
        """A few test pictures, and what the network made of them at each validation after this step."""
        return self._ask(job_calls.probe(job_id, after))

    def checkpoints(self, job_id: str) -> "list_[Checkpoint]":
        return self._ask(job_calls.checkpoints(job_id))

    def artifacts(self, job_id: str) -> "list_[Artifact]":
        """The files that it has made."""
        return self._ask(job_calls.artifacts(job_id))

    def download(self, job_id: str, path: str, to: str | os.PathLike[str], *, timeout: float = UPLOAD_TIMEOUT) -> Path:
        """The place of a file that it has made, of which this is now a copy."""
        Path(to).write_bytes(self._ask(job_calls.artifact(job_id, path), timeout))
        return Path(to)

    def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """The job, once it has ended; its `state` says how.

        Raises:
            DeadlinePassed: it has not, after `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_LOOK
        while not (job := self.get(job_id)).ended:
            if until is not None and time.monotonic() + pause > until:
                raise DeadlinePassed(None, f"job {job_id} is {job.state} after {timeout:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK)
        return job

    def _ask(self, call: Call[Any], timeout: float | None = None) -> Any:
        return self._answer(call, timeout)

    def _opened(self, arguments: dict[str, Any]) -> "contextlib.closing[httpx2.Response]":
        return contextlib.closing(self._http.send(self._http.build_request(**arguments), stream=True))


list_ = list
"""The class has a method of this name."""
