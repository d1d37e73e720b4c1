"""What a worker says, by way of the storage, to a training process on a machine that has no folder in common with it.

runs/ID/ATTEMPT/order.json   what is to be done, and the files of the run folder that are the worker's (`training.attempts`)

As of states, that of the highest number counts: a worker that was taken for gone, and wakes, is not heard.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from training.runs import write_json
from training.storage.places import Storage

FILES = ("attempt.json", "control.json")
"""What a worker writes into a run folder while a process trains in it."""
_ORDER = re.compile(r"runs/[^/]+/([0-9]+)/order\.json")


class Order(NamedTuple):
    """What is said as one."""

    config: dict[str, Any]
    """Of the job's work."""
    dataset: str | None
    """That it reads, of those on the storage."""
    files: dict[str, dict[str, Any]]
    """Those of `FILES` that there are."""


def read_files(run: Path) -> dict[str, dict[str, Any]]:
    """Those of `FILES` that there are in a worker's run folder."""
    return {name: json.loads((run / name).read_text()) for name in FILES if (run / name).exists()}


def write_files(run: Path, files: dict[str, dict[str, Any]]) -> None:
    """Have these of `FILES` alone in the run folder of a process, and touch none that is there as it should be."""
    before = read_files(run)
    for name in FILES:
        if name not in files:
            (run / name).unlink(missing_ok=True)
        elif files[name] != before.get(name):
            write_json(run / name, files[name])


def put_order(storage: Storage, job_id: str, attempt: int, order: Order) -> None:
    """Say this from now on, as this attempt of the job."""
    storage.write(f"runs/{job_id}/{attempt}/order.json", json.dumps(order._asdict()).encode())


def newest_order(storage: Storage, job_id: str, least: int) -> Order | None:
    """What was last said as the latest attempt; None where nothing was, as this one or a later one."""
    found = [int(order[1]) for key in storage.list(f"runs/{job_id}/") if (order := _ORDER.fullmatch(key))]
    attempt = max(found, default=0)
    if attempt < least:
        return None
    return Order(**json.loads(storage.read(f"runs/{job_id}/{attempt}/order.json")))
