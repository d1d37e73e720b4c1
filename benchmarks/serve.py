"""Measures this service beside what else one would serve the same network with, in one run, and prints one table.

    pip install litserve
    python benchmarks/serve.py --json results/serve.json

Everybody serves the network of serve_model.py to the same requests, a form with a PNG or the PNG as the body, and answers
class, probabilities, theta and the transformed image as a PNG; the answers are compared before anything is timed. Each
server is kept on one core and the load generator on another. All run in uvicorn with uvloop and httptools, without an access
log, and with one thread for the network.

    (a)  an empty ASGI application that answers the same bytes as (d)
    (b)  the FastAPI handler that everybody writes around eager torch
    (c)  LitServe with batching, at the best of a few settings; left out where it is not installed
    (d)  this service

They take turns within each round, so that what else the machine does falls on all of them; who has no turn is halted. A
number is the median of the rounds; a ratio is taken within each round. Beside them stands the ceiling: one over the sum of
what the pieces of a request cost when each is timed alone. More is measured on demand:

    python benchmarks/serve.py overload --seconds 60     four times the capacity is offered
    python benchmarks/serve.py swap --rate 1000          new versions of the model are put into the folder meanwhile
    python benchmarks/serve.py workers --workers 2       several processes, nothing pinned
    python benchmarks/serve.py soak --minutes 60         memory over time
"""

import argparse
import tempfile
from pathlib import Path

from machine import machine
from serve_modes import overload, soak, swap, workers
from serve_setup import make_setup
from serve_table import table

from training.runs import write_json

MEASUREMENTS = {"table": table, "overload": overload, "swap": swap, "workers": workers, "soak": soak}
PACKAGES = ("torch", "onnxruntime", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "litserve", "pillow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MEASUREMENTS, nargs="?", default="table")
    parser.add_argument("--json", type=Path, help="file for all numbers, for example results/serve.json")
    parser.add_argument("--unpinned", action="store_true", help="leave it to the system where things run")
    parser.add_argument("--rounds", type=int, default=3, help="of `table` and `workers`")
    parser.add_argument("--seconds", type=float, help="of a measurement; 2 for `table`, 5 for `workers`, else 20")
    parser.add_argument("--connections", type=int, default=128, help="at which the capacity is taken, and of `workers`")
    parser.add_argument("--crowd", type=int, help="connections under overload; 4 times --connections by default")
    parser.add_argument("--max-waiting", type=int, help="queue of the service under overload; --connections by default")
    parser.add_argument(
        "--rate", type=float, help="requests per second of `swap` (1000) and `soak` (as many as it answers)"
    )
    parser.add_argument("--every", type=int, default=4, help="seconds between new versions of `swap`")
    parser.add_argument("--workers", type=int, default=2, help="processes of `workers`")
    parser.add_argument("--minutes", type=float, default=60.0, help="of `soak`")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = {"table": 2.0, "workers": 5.0}.get(options.what, 20.0)
    with tempfile.TemporaryDirectory() as folder:
        pin = options.what != "workers" and not options.unpinned
        result = MEASUREMENTS[options.what](make_setup(Path(folder), pin), options)
    here = machine(*PACKAGES)
    if options.json:
        write_json(options.json, {"machine": here, **result})
    print(f"\n{here}")


if __name__ == "__main__":
    main()
