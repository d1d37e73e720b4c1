"""A measurement of invariance as a job: the page in report/ of its run folder, and the record that closes it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.attempts import Attempt, checking
from training.invariance_config import InvarianceJob
from training.invariance_measurement import measure
from training.progress import SECONDS, write_progress
from training.runs import run_of, write_json
from training.trained import read_trained
from training.verdict import caution, verdict

log = logging.getLogger(__name__)


def measure_as_job(job: InvarianceJob, run: Path, attempt: Attempt | None) -> None:
    """Measure, from the beginning however often it is started, and write report/ and result.json.

    Raises:
        ValueError: the model or the data are not there, or do not fit.
        KeyboardInterrupt: the worker asks it to go on later.
        Fenced: a later attempt has the run folder.
    """
    file = Path(job.file)
    if not file.exists():
        raise ValueError(f"version must be one that is there, got {job.version} of {job.name}, which has been deleted")
    trained = read_trained(run_of(file, run.parent) or file)
    known = trained.run is not None or "name" in job.data
    data = job.data if known else {"root": job.root, **job.data}
    check = checking(attempt)
    log.info("%s, version %d: %s", job.name, job.version, ", ".join(job.invariance.movements))
    report, upright, _, page = measure(
        trained._replace(name=job.name),
        data,
        job.invariance,
        run / "report",
        lambda total: _told(total, attempt),
        check,
    )
    for line in (caution(report), *(verdict(measured, upright.trained) for measured in report.measured)):
        log.info("%s", line) if line else None
    check()
    scores = {"accuracy": report.accuracy}
    result = {"status": "succeeded", "scores": scores}
    write_json(run / "result.json", result if attempt is None else {**result, "attempt": attempt.number})
    log.info("%s", page)


@contextmanager
def _told(total: int, attempt: Attempt | None) -> Iterator[Callable[[int], None]]:
    """What is told how many pictures were named, and does what the worker asks for."""
    done, last, began = 0, 0.0, time.monotonic()

    def tell(more: int) -> None:
        nonlocal done, last
        done += more
        now = time.monotonic()
        if attempt is None or (now - last < SECONDS and done < total):
            return
        last = now
        if attempt.asked() == "pause":
            raise KeyboardInterrupt
        left = (now - began) / done * (total - done)
        write_progress(attempt, "measuring", step=done, steps=total, eta_seconds=left)

    yield tell
