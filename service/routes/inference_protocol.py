"""The Open Inference Protocol V2: `/v2`, its models and their inference. The probes are in `service.routes.health`."""

import re
import time
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from service.models.choice import servable_versions
from service.models.served import Held, Served, aligner
from service.models.store import ModelStore
from service.open_inference.aligning import describe_aligner, read_pairs, write_aligned
from service.open_inference.answer import write_answer
from service.open_inference.documents import INFERENCE, MODEL_PROBLEMS
from service.open_inference.metadata import describe_model, describe_server
from service.open_inference.request import HEADER_LENGTH, Inference, read_inference
from service.open_inference.schemas import InferenceAnswer, ModelMetadata, ModelReady, ServerMetadata
from service.predicting.answers import Answer
from service.predicting.bodies import read_body
from service.predicting.content_coding import WORTHWHILE_BYTES, coding_of, compress, inflate
from service.predicting.outputs import Outputs
from service.problems import Problem
from service.routes.predict import SMALL_BYTES, PredictService, noted_decoding, timed, unless_gone

router = APIRouter(prefix="/v2", tags=["inference protocol V2"])

Name = Annotated[str, Path(description="Name of the model.", examples=["handwriting"])]
Version = Annotated[str, Path(description="Version of the model.", examples=["1"])]


@router.get("")
async def server_metadata() -> ServerMetadata:
    """Name and version of the server, and the extensions of the protocol that it knows."""
    return describe_server()


@router.get("/models/{name}", responses=MODEL_PROBLEMS)
async def model_metadata(request: Request, name: Name) -> ModelMetadata:
    """Versions of a model, and the tensors that its default version takes and gives."""
    return await _describe(request, name, None)


@router.get("/models/{name}/versions/{version}", responses=MODEL_PROBLEMS)
async def model_version_metadata(request: Request, name: Name, version: Version) -> ModelMetadata:
    """The tensors that one version of a model takes and gives."""
    return await _describe(request, name, version)


@router.get("/models/{name}/ready", responses=MODEL_PROBLEMS)
async def model_ready(request: Request, name: Name) -> ModelReady:
    """Whether a model answers; where there is none of that name, the status is 404."""
    return await _ready(request, name, None)


@router.get("/models/{name}/versions/{version}/ready", responses=MODEL_PROBLEMS)
async def model_version_ready(request: Request, name: Name, version: Version) -> ModelReady:
    """Whether one version of a model answers; where there is none of that name, the status is 404."""
    return await _ready(request, name, version)


@router.post("/models/{name}/infer", response_model=InferenceAnswer, **INFERENCE)
async def infer(request: Request, name: Name) -> Response:
    """What the default version of a model says of images.

    They are sent as `image`, encoded pictures, or as `input`, pixels in [0, 1]; as JSON, or as bytes behind it.
    """
    return await _infer(request, name, None)


@router.post("/models/{name}/versions/{version}/infer", response_model=InferenceAnswer, **INFERENCE)
async def version_infer(request: Request, name: Name, version: Version) -> Response:
    """What one version of a model says of images."""
    return await _infer(request, name, version)


async def _describe(request: Request, name: str, version: str | None) -> ModelMetadata:
    store: ModelStore = request.app.state.models
    served = await _held(store, name, version)
    versions = servable_versions(store.catalogue, name, store.memory.held)
    return (
        describe_model(served, versions) if isinstance(served, Served) else describe_aligner(aligner(served), versions)
    )


async def _ready(request: Request, name: str, version: str | None) -> ModelReady:
    store: ModelStore = request.app.state.models
    store.check_ready()
    entry = await store.locate(name, _number(version))
    return ModelReady(name=name, ready=entry.reason is None)


async def _held(store: ModelStore, name: str, version: str | None) -> Held:
    number = _number(version)
    return store.find(name, number) or await store.get(name, number)


def _number(version: str | None) -> int | None:
    if version is not None and not re.fullmatch(r"[1-9][0-9]{0,8}", version):
        raise Problem(404, f"version must be a number from 1 to 999,999,999, got {version[:32]!r}")
    return None if version is None else int(version)


async def _infer(request: Request, name: str, version: str | None) -> Response:
    service: PredictService = request.app.state.predict
    arrived, deadline = time.monotonic(), service.deadline(dict(request.scope["headers"]))
    served = await service.held(name, _number(version), deadline)
    served.predictor.check_room(1)
    body, began = await read_body(request.receive), time.perf_counter()
    coding = _header(request, "Content-Encoding") or ""
    read = partial(_read, body, coding, _header(request, HEADER_LENGTH), served, service)
    # A small body may hold a large picture; numbers are as many as they look.
    numbers = b'"BYTES"' not in body and _header(request, HEADER_LENGTH) != "0"
    in_place = len(body) <= SMALL_BYTES and not coding and numbers
    inference = read() if in_place else await service.in_thread(read, deadline)
    decoding = noted_decoding(began)
    future = served.predictor.submit(
        inference.images,
        lambda outputs, stages: timed(_written(served, inference, outputs), stages, decoding),
        min(deadline, arrived + inference.seconds),
    )
    answer = await (unless_gone(future, request.receive) if service.may_wait(served) else future)
    return _response(await _compressed(answer, _header(request, "Accept-Encoding") or "", service))


def _header(request: Request, name: str) -> str | None:
    """Its value, or all of them with commas, as HTTP says; None where it was not sent."""
    return ", ".join(request.headers.getlist(name)) or None


def _read(body: bytes, coding: str, header_length: str | None, served: Held, service: PredictService) -> Inference:
    inflated = inflate(body, coding, service.settings.max_body_bytes)
    if isinstance(served, Served):
        return read_inference(inflated, header_length, served, service.settings)
    return read_pairs(inflated, header_length, aligner(served), service.settings)


def _written(served: Held, inference: Inference, outputs: Outputs) -> Answer:
    if isinstance(served, Served):
        return write_answer(served, inference, outputs)
    return write_aligned(aligner(served), inference, outputs)


async def _compressed(answer: Answer, accepted: str, service: PredictService) -> Answer:
    coding = coding_of(accepted.encode("latin-1"))
    if coding is None or len(answer.body) < WORTHWHILE_BYTES:
        return answer
    return await to_thread.run_sync(compress, answer, coding, limiter=service.decoding)


def _response(answer: Answer) -> Response:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, answer.kind)
