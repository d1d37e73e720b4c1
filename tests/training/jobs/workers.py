"""Workers in processes of their own, the jobs that they are given, and waiting for what comes of them."""

import contextlib
import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stn.config import to_dict
from tests.databases import end_with_parent
from tests.training.runs import restless, small
from training.config import TrainingConfig
from training.jobs.identity import named
from training.jobs.job import Job, StoreUnavailable
from training.jobs.store import JobStore

CODE = """
import json, logging, pathlib, sys
from training.hosted import Far
from training.jobs.local import this_machine
from training.jobs.ray import Ray
from training.jobs.sharing import Shared
from training.jobs.store import JobStore
from training.jobs.worker import Worker
from training.storage.places import open_storage
assert "torch" not in sys.modules and "pytorch_lightning" not in sys.modules
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
url, home, options = sys.argv[1:]
options = json.loads(options)
version = options.pop("version", None)
own = {name: options.pop(name) for name in ("slots", "program", "gives_way") if name in options}
ray, far = options.pop("ray", None), options.pop("far", None)
executor = this_machine(pathlib.Path(home), **own) if ray is None else Ray(**ray, far=far and Far(*far))
shared = None if far is None else Shared(open_storage(far[0]), None)
register = None if version is None else lambda job, run: logging.info("registered %s", run) or version
store = JobStore(url, patience=1.0)
sys.exit(Worker(store, pathlib.Path(home), executor, register=register, shared=shared, **options).run())
"""


PROGRAM = [sys.executable, str(Path(__file__).with_name("stand_in.py"))]
"""Started instead of `python -m training`."""

QUICK = {"first_wait": 0.1, "gives_way": False, "slots": 1}
"""Tests wait for what others, on a busy machine, need not."""


class Running:
    """A worker's process; its log is in `log`."""

    def __init__(self, url: str, home: Path, environment: dict[str, str], options: dict[str, Any]) -> None:
        home.mkdir(exist_ok=True)
        self.url, self.home = url, home
        self.log = home / "worker.txt"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CODE, url, str(home), json.dumps({**QUICK, **options})],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        """Let it stand still, outside of a write: in one, it would keep a lock, on a SQLite file for as long as it does."""
        while True:
            self.signal(signal.SIGSTOP)
            wait_for(lambda: _state(self.process.pid) == "T")
            if _is_free(self.url):
                return
            self.signal(signal.SIGCONT)
            time.sleep(0.02)

    def end(self) -> int:
        """Ask it to end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(180)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _state(pid: int) -> str:
    """T where all of it stands still."""
    states = {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()}
    return states.pop() if len(states) == 1 else ""


def _is_free(url: str) -> bool:
    """Whether others can write at once: nobody holds the file's lock, or a row's."""
    if not url.startswith("sqlite"):
        with contextlib.closing(JobStore(url)) as store, store._database.read() as connection:
            held = "SELECT 1 FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE relname = 'jobs' AND mode IN "
            return connection.exec_driver_sql(f"{held}('RowShareLock', 'RowExclusiveLock')").first() is None
    file = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    with contextlib.closing(file), contextlib.suppress(sqlite3.OperationalError):
        file.execute("BEGIN IMMEDIATE")
        return True
    return False


@contextlib.contextmanager
def worker(url: str, home: Path, environment: dict[str, str] | None = None, **options: Any) -> Iterator[Running]:
    """One that runs until the end of the block; nothing of its runs goes on afterwards."""
    running = Running(url, home, environment or {}, options)
    try:
        yield running
    finally:
        running.signal(signal.SIGCONT)
        running.kill()
        for pid in trainings(home):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def trainings(home: Path) -> list[int]:
    """Processes that train in run folders of this home, by their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "--attempt" in words and any(word.startswith(f"{home}/runs/") for word in words):
                found.append(int(path.name))
    return found


def pid_of(store: JobStore, job: Job | str) -> int:
    """Of its training, which runs: 0 would be this process and all its kin."""
    process = named(store.get(job if isinstance(job, str) else job.id).process or "")
    assert process
    return process.pid


def wait_for(condition: Callable[[], Any], seconds: float = 180.0) -> Any:
    """What the condition gives once it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)
    return value


def ended(store: JobStore, job: Job | str, seconds: float = 300.0) -> Job:
    """The job once it has ended."""
    name = job if isinstance(job, str) else job.id

    def look() -> Job | None:
        with contextlib.suppress(StoreUnavailable):  # on a busy machine, or where that is the test
            found = store.get(name)
            return found if found.ended else None
        return None

    found: Job = wait_for(look, seconds)
    return found


def states(store: JobStore, job: Job | str) -> list[str]:
    """Those that it went through."""
    name = job if isinstance(job, str) else job.id
    return [event.data["state"] for event in store.events(name, limit=100_000) if event.kind == "state"]


def submit(store: JobStore, config: TrainingConfig | None = None, **trainer: Any) -> Job:
    """A new job, of `restless()` by default, with these changes to its trainer."""
    config = config or restless()
    config = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, **trainer))
    return store.create(to_dict(config))[0]


def submit_quick(store: JobStore, steps: int = 20, seed: int = 0, devices: int = 1) -> Job:
    """A new job for the stand-in of a training."""
    config = dataclasses.replace(small(max_steps=steps, devices=devices, batch_size=120), seed=seed)
    return store.create(to_dict(config))[0]


def starts(running: Running, job: Job) -> list[dict[str, Any]]:
    """Those of its trainings, as the stand-in writes them down."""
    path = running.home / "runs" / job.id / "starts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
