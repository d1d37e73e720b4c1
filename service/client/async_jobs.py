"""Training jobs, asked about by the client that does not block."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from service.client import job_calls
from service.client.blocking_jobs import FIRST_LOOK, LONGEST_LOOK
from service.client.calls import Call
from service.client.connection import UPLOAD_TIMEOUT, Connection
from service.client.errors import DeadlinePassed
from service.client.job_calls import NOTHING, Asked, Config
from service.client.job_streams import EventStream, LogStream, Patience
from service.jobs.schemas import Artifact, Checkpoint, Job, JobEvent, JobEvents, Jobs, Probe
from training.jobs.states import State


class AsyncJobsClient:
    """`AsyncClient.jobs`: what `Client.jobs` has, to be awaited.

    >>> async with AsyncClient(url) as client:
    ...     job = await client.jobs.create({"preset": "digits"})
    ...     async for event in client.jobs.events(job.id):
    ...         print(event.kind, event.data)
    """

    def __init__(self, connection: Connection, http: httpx2.AsyncClient, answer: Callable[..., Awaitable[Any]]) -> None:
        self._connection, self._http, self._answer = connection, http, answer

    async def create(self, config: Config, *, idempotency_key: str | None = None) -> Job:
        """As `JobsClient.create`."""
        return await self._ask(job_calls.create(config, idempotency_key))

    async def invariance(
        self,
        model: str,
        asked: Asked = NOTHING,
        *,
        version: int | None = None,
        data: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """As `JobsClient.invariance`."""
        return await self._ask(job_calls.invariance(model, asked, version, data, idempotency_key))

    async def list(self, *, after: str | None = None, limit: int = 50, status: Sequence[State] = ()) -> Jobs:
        """As `JobsClient.list`."""
        return await self._ask(job_calls.list_jobs(after, limit, status))

    async def get(self, job_id: str) -> Job:
        return await self._ask(job_calls.get(job_id))

    async def stop(self, job_id: str) -> Job:
        """As `JobsClient.stop`."""
        return await self._ask(job_calls.ask(job_id, "stop", "lost"))

    async def cancel(self, job_id: str) -> Job:
        """As `JobsClient.cancel`."""
        return await self._ask(job_calls.ask(job_id, "cancel", "lost"))

    async def resume(self, job_id: str) -> Job:
        """As `JobsClient.resume`."""
        return await self._ask(job_calls.ask(job_id, "resume", "refused"))

    async def delete(self, job_id: str) -> None:
        """As `JobsClient.delete`."""
        await self._ask(job_calls.delete(job_id))

    async def events_page(self, job_id: str, *, after: int = 0, limit: int = 100) -> JobEvents:
        """As `JobsClient.events_page`."""
        return await self._ask(job_calls.events(job_id, after, limit))

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """As `JobsClient.events`."""
        stream, patience = EventStream(job_id, after), Patience(self._connection)
        while not stream.ended:
            outcome: httpx2.Response | httpx2.RequestError | None = None
            try:
                async with self._opened(stream.request()) as response:
                    if response.is_success:
                        patience.connected()
                        async for chunk in response.aiter_bytes():
                            for event in stream.read(chunk):
                                patience.progress()
                                yield event
                    else:
                        await response.aread()
                        outcome = response
            except httpx2.RequestError as error:
                outcome = error
            if not stream.ended:
                await asyncio.sleep(patience.pause(outcome))

    async def logs(self, job_id: str, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        """As `JobsClient.logs`."""
        stream, patience = LogStream(job_id, tail), Patience(self._connection)
        done = False
        while not done:
            done = not follow or (await self.get(job_id)).ended  # before the last look
            outcome: httpx2.Response | httpx2.RequestError | None = None
            try:
                async with self._opened(stream.request(follow=not done)) as response:
                    if response.is_success:
                        patience.connected()
                        stream.begin(response)
                        async for chunk in response.aiter_bytes():
                            patience.progress()
                            for line in stream.read(chunk):
                                yield line
                        if not done:
                            await asyncio.sleep(FIRST_LOOK)
                        continue
                    await response.aread()
                    outcome = response
            except httpx2.RequestError as error:
                outcome = error
            done = False
            await asyncio.sleep(patience.pause(outcome))
        for line in stream.rest():
            yield line

    async def metrics(self, job_id: str) -> "list_[dict[str, float]]":
        """As `JobsClient.metrics`."""
        return await self._ask(job_calls.metrics(job_id))

    async def probe(self, job_id: str, after: int = 0) -> Probe:
        """As `JobsClient.probe`."""
        return await self._ask(job_calls.probe(job_id, after))

    async def checkpoints(self, job_id: str) -> "list_[Checkpoint]":
        return await self._ask(job_calls.checkpoints(job_id))

    async def artifacts(self, job_id: str) -> "list_[Artifact]":
        """As `JobsClient.artifacts`."""
        return await self._ask(job_calls.artifacts(job_id))

    async def download(
        self, job_id: str, path: str, to: str | os.PathLike[str], *, timeout: float = UPLOAD_TIMEOUT
    ) -> Path:
        """As `JobsClient.download`."""
        content = await self._ask(job_calls.artifact(job_id, path), timeout)
        await asyncio.to_thread(Path(to).write_bytes, content)
        return Path(to)

    async def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """As `JobsClient.wait`."""
        until = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_LOOK
        while not (job := await self.get(job_id)).ended:
            if until is not None and time.monotonic() + pause > until:
                raise DeadlinePassed(None, f"job {job_id} is {job.state} after {timeout:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK)
        return job

    async def _ask(self, call: Call[Any], timeout: float | None = None) -> Any:
        return await self._answer(call, timeout)

    @contextlib.asynccontextmanager
    async def _opened(self, arguments: dict[str, Any]) -> AsyncIterator[httpx2.Response]:
        response = await self._http.send(self._http.build_request(**arguments), stream=True)
        try:
            yield response
        finally:
            await response.aclose()


list_ = list
"""The class has a method of this name."""
