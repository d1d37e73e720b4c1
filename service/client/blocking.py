"""The client that blocks."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar, overload

import httpx2

from service.client import align_calls, calls, dataset_calls
from service.client.align_calls import Aligned
from service.client.arrays import Arrays, joined
from service.client.blocking_jobs import JobsClient
from service.client.calls import Call, Question, ThetaLike
from service.client.connection import (
    IMAGES_PER_REQUEST,
    RETRIES,
    TIMEOUT,
    UPLOAD_TIMEOUT,
    Connection,
    chunks,
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


class Client:
    """Asks a service, and waits for its answers.

    It may be used by several threads.

    >>> with Client(url) as client:
    ...     prediction = client.predict("digit.png")
    >>> prediction.class_name
    '6'

    Args:
        url: of the service, such as http://127.0.0.1:8000.
        key: sent as `Authorization: Bearer KEY`.
        timeout: seconds that a request may take, with all its attempts.
        retries: how often a request is made again, at most, where it was refused (429, 503) or, if it may have no effect,
            the connection was lost.
        images_per_request: pictures that are sent at a time; fewer where the service takes fewer.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        images_per_request: int = IMAGES_PER_REQUEST,
    ) -> None:
        self._connection = Connection(url, key, timeout, retries, images_per_request)
        self._http = httpx2.Client(**self._connection.http_options())
        self.jobs = JobsClient(self._connection, self._http, self._answer)
        """Training jobs."""

    @overload
    def predict(  # type: ignore[overload-overlap]
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
    def predict(
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
    def predict(
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
        """What the service says of a picture, or of each of several, in their order.

        Of several, a bad one has a `problem` instead; a bad one alone raises it.

        >>> with Client(url) as client:
        ...     good, bad = client.predict(["digit.png", b"nonsense"], top_k=2)
        >>> good.class_name, len(good.probabilities), good.transformed.size, good.theta.matrix.shape
        ('6', 2, (24, 24), (2, 3))
        >>> bad.problem.status
        415

        Args:
            images: one picture, or any iterable of them.
            model: name of a model; the default model where it is left out.
            version: of the model; its default version where it is left out.
            top_k: the probabilities of so many classes only, the most probable first.
            include: names, or one text with commas: `transformed`, `theta` and `outline`, which are answered by default,
                `grid`, `activations`, `input`.
            theta: the numbers of the transform to use instead of the network's own for every picture, or `identity`.
            timeout: seconds for each request, instead of the client's own.

        Raises:
            ServiceError: the service did not answer as it should.
            ValueError: an argument is wrong.
            OSError: a file cannot be read.
        """
        asked = calls.question(calls.PREDICTIONS, model, version, top_k, include, theta)
        predictions = self._ask(images, asked, timeout)
        return only(predictions) if is_one(images) else predictions

    def predict_arrays(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        model: str | None = None,
        version: int | None = None,
        include: str | Iterable[str] | None = None,
        theta: ThetaLike | None = None,
        timeout: float | None = None,
    ) -> Arrays:
        """What the service says of pictures, as arrays with a row for each; see `predict`.

        >>> with Client(url) as client:
        ...     arrays = client.predict_arrays(["digit.png"] * 40, include=["theta", "transformed"])
        >>> arrays.probabilities.shape, arrays.included["theta"].shape, arrays.included["transformed"].shape
        ((40, 10), (40, 6), (40, 1, 24, 24))
        """
        return joined(self._ask(images, calls.question(calls.ARRAYS, model, version, None, include, theta), timeout))

    def align(
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
        """Where a picture lies on another that shows the same.

        >>> with Client(url) as client:
        ...     found = client.align("digit.png", "digit.png", refine=0.5)
        >>> found.warped.size, found.theta.matrix.shape, found.notes
        ((42, 42), (3, 3), [])

        Args:
            moving: the picture to be laid on the other.
            fixed: the one that stays.
            model: name of a model that aligns; of those, the one that was registered first where it is left out.
            version: of the model; its default version where it is left out.
            refine: seconds that may be spent on refinement, up to 20.
            include: names, or one text with commas: `warped` and `overlay`, which are answered by default, `grid`.
            timeout: seconds for the request, instead of the client's own.

        Raises:
            ServiceError: the service did not answer as it should; `WrongRequest` where a picture is flat.
            OSError: a file cannot be read.
        """
        return self._answer(align_calls.align(moving, fixed, model, version, refine, include), timeout)

    def models(self) -> Models:
        """All models of the service.

        >>> with Client(url) as client:
        ...     client.models().default_model
        'handwriting'
        """
        return self._answer(calls.models())

    def model(self, name: str) -> Model:
        """One model and its versions.

        >>> with Client(url) as client:
        ...     client.model("handwriting").versions[0].class_names[:3]
        ['0', '1', '2']
        """
        return self._answer(calls.model(name))

    def upload(self, path: str | os.PathLike[str], name: str, *, timeout: float = UPLOAD_TIMEOUT) -> ModelVersion:
        """Add a model file as the next version of a model; it has been loaded when this returns."""
        return self._answer(calls.upload(Path(path), name), timeout)

    def set_default(self, name: str, version: int | None) -> Model:
        """Choose the version of a model that answers when a request names none; None for the newest from now on."""
        return self._answer(calls.set_default(name, version))

    def delete(self, name: str, version: int | None = None) -> None:
        """Delete a version of a model, or the model with all its versions where none is given."""
        return self._answer(calls.delete(name, version))

    def datasets(self) -> Datasets:
        """All data sets of the service."""
        return self._answer(dataset_calls.datasets())

    def dataset(self, name: str) -> DatasetReport:
        """One data set: its classes, and what of its upload was refused."""
        return self._answer(dataset_calls.dataset(name))

    def dataset_sheet(self, name: str) -> bytes:
        """The contact sheet of a data set, a PNG."""
        return self._answer(dataset_calls.sheet(name))

    def upload_dataset(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        timeout: float = dataset_calls.UPLOAD_TIMEOUT,
    ) -> DatasetReport:
        """Add pictures to train on; they have all been opened when this returns.

        Args:
            name: of the new data set.
            path: a folder of class folders or of pictures alone, which is zipped as it is sent, a zip file of such a one,
                or an npz file.
            progress: called with the bytes that were sent, and how many there are.
            timeout: seconds for all of it.

        Raises:
            ServiceError: the service did not take it; `Conflict` where it has a data set of that name.
            ValueError: the path is none of these.
        """
        return self._answer(dataset_calls.upload(name, path, progress), timeout)

    def delete_dataset(self, name: str) -> None:
        """Delete a data set, unless a job uses it that has not ended."""
        return self._answer(dataset_calls.delete(name))

    def ready(self) -> bool:
        """Whether the service is there and answers requests.

        >>> with Client(url) as client:
        ...     client.ready()
        True
        """
        try:
            return self._answer(calls.ready())
        except NOT_READY:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, images: ImageLike | Iterable[ImageLike], asked: Question[T], timeout: float | None) -> list[T]:
        groups = grouped(images, self._connection.images_per_request)
        return [entry for group in groups for entry in self._ask_once(group, asked, timeout)]

    def _ask_once(self, images: Sequence[bytes], asked: Question[T], timeout: float | None) -> list[T]:
        try:
            return self._answer(asked.about(images), timeout)
        except WrongRequest as refusal:
            parts = calls.asked_again(images, refusal)
            found = [entry for part in parts for entry in self._ask_once(part, asked, timeout)]
            return found or [asked.kind.failed(refusal)]

    def _answer(self, call: Call[T], timeout: float | None = None) -> T:
        attempts = self._connection.attempts(call, timeout)
        while True:
            outcome = self._attempt(call, attempts.seconds_left)
            pause = attempts.pause(outcome)
            if pause is None:
                return call.result(outcome)
            time.sleep(pause)

    def _attempt(self, call: Call[T], seconds: float) -> httpx2.Response | Lost:
        request = self._http.build_request(**request_arguments(call, seconds), content=chunks(call.content))
        began = False
        try:
            response = self._http.send(request, stream=True)
            began = True
            response.read()
        except httpx2.RequestError as error:
            return Lost(error, began)
        return response
