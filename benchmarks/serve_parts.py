"""Times the pieces of a request to this service, each alone on one core, and prints the seconds of each as JSON.

    OMP_NUM_THREADS=1 python benchmarks/serve_parts.py --model model.safetensors

What a request costs in HTTP and ASGI is not among them: it is one over the rate of the empty application of `serve.py`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from serve_model import multipart_body, pictures
from starlette.types import Message

from service.models.served import read_served
from service.predicting.answers import json_answer
from service.predicting.bodies import images_in, read_body
from service.predicting.images import read_picture
from service.predicting.options import options_of
from service.settings import Settings

BATCH = 32
"""Images that go through the network together."""
SECONDS = 0.5
"""Time for each piece."""


def parts(model_file: Path) -> dict[str, float]:
    """Seconds of one image in each piece, in the order in which a request goes through them."""
    png = pictures(1)[0]
    served = read_served(model_file, "tutorial", 1, Settings(home=model_file.parents[2]))
    picture = read_picture(png, served.info.input, 10**6)
    batch = [picture.pixels] * BATCH
    outputs = served.predictor.run([picture.pixels])
    kind, form = multipart_body(png)
    seconds = {
        "form": _timed(lambda: images_in(_read(form), kind, 64)),
        "decode": _timed(lambda: read_picture(png, served.info.input, 10**6)),
        f"network, of {BATCH}": _timed(lambda: served.predictor.run(batch)) / BATCH,
        "encode": _timed(lambda: json_answer(served, [picture], outputs, options_of(b""))),
    }
    served.predictor.close()
    return seconds


def _read(body: bytes) -> bytes:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    reading = read_body(receive)
    try:
        reading.send(None)
    except StopIteration as end:
        whole: bytes = end.value
        return whole
    raise AssertionError("the body was there and was waited for")


def _timed(work: Callable[[], object]) -> float:
    """Seconds of the fastest of many."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    json.dump(parts(options.model), sys.stdout)


if __name__ == "__main__":
    main()
