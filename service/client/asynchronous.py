"""The client that does not block."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar, overload

import httpx2

from service.client import align_calls, calls, dataset_calls
from service.client.align_calls import Aligned
from service.client.arrays import Arrays, joined
from service.client.async_jobs import AsyncJobsClient
from service.client.calls import Call, Question, ThetaLike
from service.client.connection import (
    IMAGES_PER_REQUEST,
    RETRIES,
    TIMEOUT,
    UPLOAD_TIMEOUT,
    Connection,
    async_chunks,
    request_arguments,
)
from service.client.dataset_files import Progress
from service.client.errors import NOT_READY, WrongRequest
from service.client.images import ImageLike, grouped, is_one
from service.client.predictions import Prediction, only
from service.client.retries import Lost
from service.datasets.schemas import DatasetReport, Datasets
from service.schemas import Model, Models, ModelVersion

T = TypeVar("T")


class AsyncClient:
    """Asks a service on an asyncio event loop; its methods are those of `Client`, to be awaited.

    >>> async def main():
    ...     async with AsyncClient(url) as client:
    ...         return await client.predict(["digit.png"] * 100)
    >>> len(asyncio.run(main()))
    100

    Args:
        url: see `Client`.
        key: likewise.
        timeout: likewise.
        retries: likewise.
        images_per_request: likewise.
        requests_at_once: of the requests that one call of `predict` makes, so many are made at a time.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        images_per_request: int = IMAGES_PER_REQUEST,
        requests_at_once: int = 4,
    ) -> None:
        if requests_at_once < 1:
            raise ValueError(f"requests_at_once must be at least 1, got {requests_at_once}")
        self._connection = Connection(url, key, timeout, retries, images_per_request)
        self._http = httpx2.AsyncClient(**self._connection.http_options())
        self.jobs = AsyncJobsClient(self._connection, self._http, self._answer)
        """Training jobs."""
        self._requests_at_once = requests_at_once

    @overload
    async def predict(  # type: ignore[overload-overlap]
        self,
        images: ImageLike,
        *,
        model: str | None = None,
        version: int | None = None,
        top_k: int | None = None,
        include: str | Iterable[str] | None = None,
        theta: ThetaLike | None = None,
        timeout: float | None = None,
    ) -> Prediction: ...
    @overload
    async def predict(
        self,
        images: Iterable[ImageLike],
        *,
        model: str | None = None,
        version: int | None = None,
        top_k: int | None = None,
        include: str | Iterable[str] | None = None,
        theta: ThetaLike | None = None,
        timeout: float | None = None,
    ) -> list[Prediction]: ...
    async def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        model: str | None = None,
        version: int | None = None,
        top_k: int | None = None,
        include: str | Iterable[str] | None = None,
        theta: ThetaLike | None = None,
        timeout: float | None = None,
    ) -> Prediction | list[Prediction]:
        """As `Client.predict`; the requests for several pictures are made at once."""
        asked = calls.question(calls.PREDICTIONS, model, version, top_k, include, theta)
        predictions = await self._ask(images, asked, timeout)
        return only(predictions) if is_one(images) else predictions

    async def predict_arrays(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        model: str | None = None,
        version: int | None = None,
        include: str | Iterable[str] | None = None,
        theta: ThetaLike | None = None,
        timeout: float | None = None,
    ) -> Arrays:
        """As `Client.predict_arrays`."""
        return joined(
            await self._ask(images, calls.question(calls.ARRAYS, model, version, None, include, theta), timeout)
        )

    async def align(
        self,
        moving: ImageLike,
        fixed: ImageLike,
        *,
        model: str | None = None,
        version: int | None = None,
        refine: float = 0.0,
        include: str | Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> Aligned:
        """As `Client.align`."""
        return await self._answer(align_calls.align(moving, fixed, model, version, refine, include), timeout)

    async def models(self) -> Models:
        """As `Client.models`."""
        return await self._answer(calls.models())

    async def model(self, name: str) -> Model:
        """As `Client.model`."""
        return await self._answer(calls.model(name))

    async def upload(self, path: str | os.PathLike[str], name: str, *, timeout: float = UPLOAD_TIMEOUT) -> ModelVersion:
        """As `Client.upload`."""
        return await self._answer(calls.upload(Path(path), name), timeout)

    async def set_default(self, name: str, version: int | None) -> Model:
        """As `Client.set_default`."""
        return await self._answer(calls.set_default(name, version))

    async def delete(self, name: str, version: int | None = None) -> None:
        """As `Client.delete`."""
        return await self._answer(calls.delete(name, version))

    async def datasets(self) -> Datasets:
        """As `Client.datasets`."""
        return await self._answer(dataset_calls.datasets())

    async def dataset(self, name: str) -> DatasetReport:
        """As `Client.dataset`."""
        return await self._answer(dataset_calls.dataset(name))

    async def dataset_sheet(self, name: str) -> bytes:
        """As `Client.dataset_sheet`."""
        return await self._answer(dataset_calls.sheet(name))

    async def upload_dataset(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        timeout: float = dataset_calls.UPLOAD_TIMEOUT,
    ) -> DatasetReport:
        """As `Client.upload_dataset`."""
        return await self._answer(dataset_calls.upload(name, path, progress), timeout)

    async def delete_dataset(self, name: str) -> None:
        """As `Client.delete_dataset`."""
        return await self._answer(dataset_calls.delete(name))

    async def ready(self) -> bool:
        """As `Client.ready`."""
        try:
            return await self._answer(calls.ready())
        except NOT_READY:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, images: ImageLike | Iterable[ImageLike], asked: Question[T], timeout: float | None) -> list[T]:
        groups = enumerate(grouped(images, self._connection.images_per_request))
        reading = asyncio.Lock()
        found: dict[int, list[T]] = {}

        async def work() -> None:
            while True:
                async with reading:
                    number, group = await asyncio.to_thread(next, groups, (-1, None))
                if group is None:
                    return
                found[number] = await self._ask_once(group, asked, timeout)

        workers = [asyncio.create_task(work()) for _ in range(1 if is_one(images) else self._requests_at_once)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [entry for number in sorted(found) for entry in found[number]]

    async def _ask_once(self, images: Sequence[bytes], asked: Question[T], timeout: float | None) -> list[T]:
        try:
            return await self._answer(asked.about(images), timeout)
        except WrongRequest as refusal:
            parts = calls.asked_again(images, refusal)
            found = [entry for part in parts for entry in await self._ask_once(part, asked, timeout)]
            return found or [asked.kind.failed(refusal)]

    async def _answer(self, call: Call[T], timeout: float | None = None) -> T:
        attempts = self._connection.attempts(call, timeout)
        while True:
            outcome = await self._attempt(call, attempts.seconds_left)
            pause = attempts.pause(outcome)
            if pause is None:
                return call.result(outcome)
            await asyncio.sleep(pause)

    async def _attempt(self, call: Call[T], seconds: float) -> httpx2.Response | Lost:
        request = self._http.build_request(**request_arguments(call, seconds), content=async_chunks(call.content))
        began = False
        try:
            response = await self._http.send(request, stream=True)
            began = True
            await response.aread()
        except httpx2.RequestError as error:
            return Lost(error, began)
        return response
