"""`POST /v1/align`: two pictures in, where one lies on the other out."""

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from service.models.served import aligner
from service.observing import logs
from service.openapi.align import REQUEST, RESPONSES
from service.openapi.predict import TIMEOUT
from service.predicting.align_options import AlignOptions, pictures_in
from service.predicting.bodies import read_body
from service.predicting.images import check_pixels
from service.predicting.options import kind_of
from service.problems import Problem
from service.routes.predict import PredictService, noted_decoding, timed, unless_gone
from service.schemas import Alignment

if TYPE_CHECKING:
    from service.predicting.outputs import Outputs
    from service.predicting.work import Stages

router = APIRouter(prefix="/v1", tags=["align"])


@router.post(
    "/align",
    response_model=Alignment,
    responses=RESPONSES,
    openapi_extra={"requestBody": REQUEST, "parameters": [TIMEOUT]},
)
async def align(request: Request, options: Annotated[AlignOptions, Query()]) -> Response:
    """Lay one picture on another that shows the same.

    The body is a multipart form with the files `moving` and `fixed`, JSON with base64, or an `.npz` file with arrays of
    these names: uint8, or floats in [0, 1], of shape (H, W), (H, W, C) or (C, H, W) with 1 or 3 channels. Pictures of
    different size or colour are brought together, which `notes` tells. theta maps points of the fixed picture to points
    of the moving one.
    """
    service: PredictService = request.app.state.predict
    headers = dict(request.scope["headers"])
    deadline = service.deadline(headers)
    name = options.model or service.models.memory.default_name("align")
    if name is None:
        service.models.check_ready()
        raise Problem(404, "there is no model that aligns: train one with the preset align, or upload one")
    served = aligner(await service.held(name, options.version, deadline))
    logs.model.set(served.name)
    served.predictor.check_room(1)
    body = await read_body(request.receive)
    began = time.perf_counter()
    kind = kind_of(headers.get(b"accept", b""))
    most = service.settings.max_pixels
    posted = pictures_in(body, headers.get(b"content-type", b"").decode("latin-1"), most)
    files = [given for given in posted if isinstance(given, bytes)]
    check_pixels(files, most, service.settings.max_request_pixels)
    from service.predicting import aligning  # with torch, which the model has brought

    pair = await service.in_thread(partial(aligning.read_pair, *posted, most), deadline)
    decoding = noted_decoding(began)

    def located(outputs: "Outputs", stages: "Stages") -> "tuple[Outputs, Stages]":
        return outputs, stages

    future = served.predictor.submit([pair.seen], located, deadline)
    outputs, stages = await unless_gone(future, request.receive)

    def laid() -> Response:
        seconds = min(options.refine, max(deadline - time.monotonic(), 0.0))
        found = aligning.answer(served, pair, aligning.lay(served, pair, outputs, seconds), options, kind)
        found = timed(found, stages, decoding)
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.headers}
        return Response(found.body, found.status, texts, found.kind)

    return await service.in_thread(laid, deadline)
