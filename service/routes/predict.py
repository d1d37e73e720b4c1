"""`POST /v1/predict`: a picture in, class, theta and the straightened picture out."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, NamedTuple, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request, Response
from jaxtyping import UInt8
from opentelemetry.trace import Span
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.models.served import Held, Served, classifier
from service.models.store import ModelStore
from service.observing import logs, metrics, tracing
from service.openapi.predict import REQUEST, RESPONSES, TIMEOUT
from service.predicting.answers import Answer, Entry, json_answer, npz_answer, png_answer
from service.predicting.bodies import images_in, read_body
from service.predicting.given import given_theta
from service.predicting.images import Picture, check_pixels, is_small, read_picture
from service.predicting.options import Kind, PredictOptions, kind_of
from service.predicting.outputs import Outputs
from service.predicting.work import Stages, too_late
from service.problems import Problem
from service.schemas import Predictions
from service.settings import Settings

router = APIRouter(prefix="/v1", tags=["predict"])

Answered = TypeVar("Answered")
Decoded = TypeVar("Decoded")

SMALL_BYTES = 16 * 2**10
"""Small pictures in a request of at most so many bytes are decoded where it was read: a thread would cost more."""

_LOADING = "while the model was being loaded, which goes on: ask again"

_ANSWERS = {"application/json": json_answer, "image/png": png_answer, "application/x-npz": npz_answer}


class PredictService:
    """Answers requests for predictions; the state that they share.

    Args:
        models: where networks come from.
        settings: limits.
    """

    def __init__(self, models: ModelStore, settings: Settings) -> None:
        self.models, self.settings = models, settings
        self.decoding = CapacityLimiter(settings.max_decoding)

    async def answer(self, headers: dict[bytes, bytes], options: PredictOptions, receive: Receive) -> Answer:
        """The answer to one request, whatever protocol parsed it.

        Raises:
            Problem: any of those documented.
            ClientDisconnect: the client went away.
        """
        deadline = self.deadline(headers)
        served = await self.served(options.model, options.version, deadline)
        logs.model.set(served.name)
        theta = given_theta(served, options.theta)
        served.predictor.check_room(1)
        body = await read_body(receive)
        began = time.perf_counter()
        asked = self.read(headers, body)
        decode = partial(_entries, asked.bodies, served, self.settings.max_pixels)
        entries = decode() if asked.is_small else await self.in_thread(decode, deadline)
        decoding = noted_decoding(began)
        encode = partial(_ANSWERS[asked.kind], served, entries)
        pictures = [entry.pixels for entry in entries if isinstance(entry, Picture)]
        if not pictures:
            return encode(None, options)
        future = served.predictor.submit(
            pictures,
            lambda outputs, stages: timed(encode(outputs, options), stages, decoding),
            deadline,
            options.details,
            theta,
        )
        return await (unless_gone(future, receive) if self.may_wait(served) else future)

    def at_once(
        self,
        headers: dict[bytes, bytes],
        options: PredictOptions,
        body: bytes,
        is_gone: Callable[[], bool],
        told: Callable[[Answer | Exception], None],
    ) -> None:
        """The same for a body that is here and holds one picture, in the next turn of the event loop.

        Args:
            is_gone: whether the client has gone away; asked in that turn.
            told: called in that turn with the answer, or with what `answer` raises.

        Raises:
            MustWait: `answer` would wait for a model or a thread, or there are several pictures. It may be told as well,
                instead of an answer.
        """
        deadline = self.deadline(headers)
        served = self.models.find(options.model, options.version)
        if not isinstance(served, Served) or not served.predictor.on_loop or len(body) > SMALL_BYTES:
            raise MustWait
        logs.model.set(served.name)
        served.predictor.check_room(1)
        alone = _Alone(self, served, headers, options, body, is_gone)
        theta = given_theta(served, options.theta)
        served.predictor.tell(alone, alone.encode, told, deadline, options.details, theta)

    def read(self, headers: dict[bytes, bytes], body: bytes) -> "_Asked":
        """What is asked for; the Problems are those of `answer`."""
        kind = kind_of(headers.get(b"accept", b""))
        bodies = images_in(body, headers.get(b"content-type", b"").decode("latin-1"), self.settings.max_images)
        if kind == "image/png" and len(bodies) != 1:
            raise Problem(406, f"Accept: image/png answers one image at a time, got {len(bodies)}")
        images = [image for image in bodies if isinstance(image, bytes)]
        check_pixels(images, self.settings.max_pixels, self.settings.max_request_pixels)
        return _Asked(kind, bodies, len(body) <= SMALL_BYTES and all(map(is_small, images)))

    async def served(self, name: str | None, version: int | None, deadline: float) -> Served:
        """This version of this model, which is loaded where it is not in memory; a Problem 504 where that takes too long,
        409 where it does not predict."""
        return classifier(await self.held(name, version, deadline))

    async def held(self, name: str | None, version: int | None, deadline: float) -> Held:
        """The same, whatever it does."""
        found = self.models.find(name, version)
        return await within(deadline, self.models.get(name, version), _LOADING) if found is None else found

    async def in_thread(self, decode: Callable[[], Decoded], deadline: float) -> Decoded:
        """What this gives, in one of the threads for it; a Problem 504 where none is free in time."""
        return await within(deadline, to_thread.run_sync(decode, limiter=self.decoding))

    def may_wait(self, served: Held) -> bool:
        """Whether a prediction may take so long that it is worth while to notice when the client goes away."""
        return not served.predictor.on_loop or served.predictor.unanswered > self.settings.max_batch

    def deadline(self, headers: dict[bytes, bytes]) -> float:
        """On `time.monotonic`: what the client allows, at most what the settings do."""
        seconds = self.settings.deadline_seconds
        sent = headers.get(b"x-request-timeout")
        if sent is not None:
            try:
                wanted = float(sent)
            except ValueError:
                wanted = math.nan
            if not 0 < wanted < math.inf:
                raise Problem(422, f"X-Request-Timeout must be seconds above 0, got {sent.decode('latin-1')[:32]!r}")
            seconds = min(seconds, wanted)
        return time.monotonic() + seconds


@router.post(
    "/predict",
    response_model=Predictions,
    responses=RESPONSES,
    openapi_extra={"requestBody": REQUEST, "parameters": [TIMEOUT]},
)
async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
    """Name what each picture shows and straighten it.

    The body is one picture (`image/png`, `image/jpeg`, ...), a multipart form with one or several files in the field
    `image`, or JSON with base64. Of several pictures a bad one fails alone: its entry holds the `problem`.
    """
    service: PredictService = request.app.state.predict
    answer = await service.answer(dict(request.scope["headers"]), options, request.receive)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, answer.kind)


async def within(deadline: float, work: Awaitable[Answered], *late: str) -> Answered:
    """What this gives, or a Problem 504 at the deadline, on `time.monotonic`, that says how `late` it is."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await work
    except TimeoutError:
        raise too_late(*late) from None


class MustWait(Exception):
    """A request cannot be answered at once."""


class _Alone:
    """The only picture of a request, from its body to its answer, in steps that wait for nothing."""

    __slots__ = ("_asked", "_body", "_entries", "_headers", "_is_gone", "_options", "_seconds", "_served", "_service")

    def __init__(
        self,
        service: PredictService,
        served: Served,
        headers: dict[bytes, bytes],
        options: PredictOptions,
        body: bytes,
        is_gone: Callable[[], bool],
    ) -> None:
        self._service, self._served = service, served
        self._headers, self._options, self._body, self._is_gone = headers, options, body, is_gone

    def find(self) -> None:
        if self._is_gone():
            raise ClientDisconnect
        began = time.perf_counter()
        self._asked = self._service.read(self._headers, self._body)
        if not self._asked.is_small or len(self._asked.bodies) != 1:
            raise MustWait
        self._seconds = time.perf_counter() - began

    def decode(self) -> UInt8[np.ndarray, "c h w"]:
        began = time.perf_counter()
        self._entries = _entries(self._asked.bodies, self._served, self._service.settings.max_pixels)
        self._seconds = noted_decoding(began - self._seconds).seconds
        (picture,) = self._entries
        assert isinstance(picture, Picture)  # for a problem with a picture that stands alone is raised
        return picture.pixels

    def encode(self, outputs: Outputs, stages: Stages) -> Answer:
        answer = _ANSWERS[self._asked.kind](self._served, self._entries, outputs, self._options)
        return timed(answer, stages, Decoding(self._seconds, None))


class _Asked(NamedTuple):
    """What a request asks for, once its body was read."""

    kind: Kind
    bodies: Sequence[bytes | Problem]
    """Its pictures."""
    is_small: bool
    """Whether they are decoded where they were read."""


def _entries(bodies: Sequence[bytes | Problem], served: Served, max_pixels: int) -> list[Entry]:
    """Each picture, or the problem with it; a problem with the only one is raised."""
    if len(bodies) == 1 and isinstance(bodies[0], Problem):
        raise bodies[0]
    entries: list[Entry] = []
    for body in bodies:
        try:
            entries.append(body if isinstance(body, Problem) else read_picture(body, served.info.input, max_pixels))
        except Problem as problem:
            if len(bodies) == 1:
                raise
            entries.append(problem)
    return entries


class Decoding(NamedTuple):
    """How long the pictures of a request took to decode, and the span of that request; None where nobody traces."""

    seconds: float
    span: Span | None


def noted_decoding(began: float) -> Decoding:
    """The decoding that ends now, counted."""
    decoding = Decoding(time.perf_counter() - began, tracing.current.get())
    metrics.stage("decode", decoding.seconds)
    tracing.stage(decoding.span, "decode", decoding.seconds)
    return decoding


def timed(answer: Answer, stages: Stages, decoding: Decoding) -> Answer:
    """With the milliseconds of its stages in a header that browsers show, and the seconds in its span."""
    queue, batch = stages.taken - stages.arrived, stages.gathered - stages.taken
    infer, encode = stages.inferred - stages.gathered, time.perf_counter() - stages.inferred
    text = b"decode;dur=%.3f, queue;dur=%.3f, batch;dur=%.3f, infer;dur=%.3f, encode;dur=%.3f"
    milliseconds = (1e3 * decoding.seconds, 1e3 * queue, 1e3 * batch, 1e3 * infer, 1e3 * encode)
    answer.headers.append((b"server-timing", text % milliseconds))
    if decoding.span is not None:
        for name, seconds in (("queue", queue), ("batch", batch), ("infer", infer), ("encode", encode)):
            tracing.stage(decoding.span, name, seconds)
    return answer


async def unless_gone(future: "asyncio.Future[Answered]", receive: Receive) -> Answered:
    """The answer, unless the client goes away before: its work is then dropped."""
    gone = asyncio.ensure_future(_departure(receive))
    gone.add_done_callback(lambda _: future.cancel())
    try:
        return await future
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled():
            raise ClientDisconnect from None
        raise
    finally:
        gone.cancel()


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
