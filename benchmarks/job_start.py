"""Measures how long it takes from `POST /v1/jobs` to the first line of the training's log, and how much of it are imports.

    python benchmarks/job_start.py --jobs 10

A service and a worker run as an operator starts them, on the CPU. The imports last from the start of the training process,
by the kernel's clock, until it writes its first progress.json, which it does as soon as it has imported all; what is left is
the request, the worker's claim, the start of the process, and the reading of the data up to the first line. Each number is
the median over the jobs, which are cancelled then.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from machine import machine

from training.runs import write_json

T = TypeVar("T")
LOOK = 0.001


class Start(NamedTuple):
    """Seconds of one job."""

    whole: float
    """From the request to the first line."""
    answered: float
    """Until the answer to the request."""
    process: float
    """Until the training process began."""
    imports: float
    """Of the process, from its start."""

    @property
    def rest(self) -> float:
        """The whole without the imports."""
        return self.whole - self.imports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running("serve", Path(folder)) as log,
        running("worker", Path(folder)),
    ):
        found = re.search(
            r"http://\S+", wait(lambda: next(iter(re.findall(r".* on http://.*", log.read_text())), None))
        )
        assert found is not None
        measure(found[0], Path(folder))  # the first one fills the caches
        starts = [measure(found[0], Path(folder)) for _ in range(options.jobs)]
    numbers = {name: statistics.median(getattr(start, name) for start in starts) for name in (*Start._fields, "rest")}
    for name, seconds in numbers.items():
        sys.stdout.write(f"{name:10}{seconds:8.3f} s\n")
    if options.json:
        where = machine("torch", "pytorch-lightning")
        write_json(options.json, {"machine": where, "median": numbers, "starts": [start._asdict() for start in starts]})


@contextmanager
def running(verb: str, home: Path) -> Iterator[Path]:
    """`stn serve` or `stn worker` with this home folder; gives its log."""
    log = home / f"{verb}.txt"
    port = ["--port", "0"] if verb == "serve" else []
    with log.open("wb") as output:
        command = [sys.executable, "-m", "service.commands.cli", verb, *port]
        process = subprocess.Popen(command, env={**os.environ, "STN_HOME": str(home)}, stderr=output)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def measure(url: str, home: Path) -> Start:
    """Post a job and look until its log has a line."""
    begin, asked = time.time(), time.monotonic()
    job = post(f"{url}/v1/jobs", {"preset": "digits", "trainer": {"accelerator": "cpu"}})
    answered = time.monotonic() - asked
    run = home / "runs" / job
    imported = wait(lambda: written(run / "progress.json"))
    whole = wait(lambda: written(run / "console.txt", lines=True)) - begin
    pid = int((run / ".lock").read_text())
    started = start_of(pid)
    post(f"{url}/v1/jobs/{job}/cancel", None)
    wait(lambda: not Path(f"/proc/{pid}").exists())
    return Start(whole, answered, started - begin, imported - started)


def post(url: str, body: object) -> str:
    data = b"" if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["id"])


def written(path: Path, lines: bool = False) -> float | None:
    """When the file was written last, once it is there and, where that is wanted, has a line."""
    with suppress(FileNotFoundError):
        status = path.stat()
        if not lines or (status.st_size and b"\n" in path.read_bytes()):
            return status.st_mtime
    return None


def start_of(pid: int) -> float:
    """When the process was started, by the time of day; the kernel counts hundredths of a second."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def wait(look: Callable[[], T | None], seconds: float = 600.0) -> T:
    """What it sees, once that is something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(LOOK)
    return found


if __name__ == "__main__":
    main()
