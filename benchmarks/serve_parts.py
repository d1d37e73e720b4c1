"""Times the pieces of a request to this service, each alone on one core, and prints the seconds of each as JSON.

    OMP_NUM_THREADS=1 python benchmarks/serve_parts.py --model model.safetensors

What a request costs in HTTP and ASGI is not among them: it is one over the rate of the empty application of `serve.py`.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import torch
from serve_model import multipart_body, pictures
from starlette.requests import Request
from starlette.types import Message

from service.answers import describe
from service.images import read_picture
from service.predictor import predict
from service.schemas import Predictions
from stn import load_model, read_model_info

BATCH = 32
"""Images that go through the network together."""
SECONDS = 0.5
"""Time for each piece."""


def parts(model_file: Path) -> dict[str, float]:
    """Seconds of one image in each piece, in the order in which a request goes through them."""
    png = pictures(1)[0]
    model, info = load_model(model_file), read_model_info(model_file)
    picture = read_picture(png, info.input, 10**6)
    images = torch.stack([picture.pixels] * BATCH)
    prediction = predict(model, images)[0]

    def encode() -> None:
        answer = Predictions(model="tutorial", version=1, predictions=[describe(picture, prediction, info)])
        answer.model_dump_json(by_alias=True)

    return {
        "multipart": asyncio.run(_timed_async(lambda: _read_form(*multipart_body(png)))),
        "decode": _timed(lambda: read_picture(png, info.input, 10**6)),
        f"network, of {BATCH}": _timed(lambda: predict(model, images)) / BATCH,
        "encode": _timed(encode),
    }


async def _read_form(kind: str, body: bytes) -> bytes:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    async with Request({"type": "http", "headers": headers}, receive).form(max_files=64, max_fields=16) as form:
        return await form["image"].read()  # type: ignore[union-attr]


def _timed(work: Callable[[], object]) -> float:
    """Seconds of the fastest of many."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        work()
        best = min(best, time.perf_counter() - start)
    return best


async def _timed_async(work: Callable[[], Awaitable[object]]) -> float:
    best, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        await work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    json.dump(parts(options.model), sys.stdout)


if __name__ == "__main__":
    main()
