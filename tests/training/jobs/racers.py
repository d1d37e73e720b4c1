"""What several processes do to one store at once: `python -m tests.training.jobs.racers NAME URL ARGUMENTS`.

Each says that it is ready, waits for a line, and gives what it saw as JSON.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from typing import Any

from tests.training.jobs.rows import PLACE
from training.jobs.states import Forbidden
from training.jobs.store import JobNotFound, JobStore, LeaseLost

SECONDS = 60


def claim(store: JobStore, worker: str) -> list[str]:
    """Claim until nothing waits."""
    claims = []
    while (job := store.claim(worker, PLACE, 1)) is not None:
        claims.append(job.id)
    return claims


def write(store: JobStore, job_id: str, times: str) -> int:
    """Events of the one job, as its holder."""
    job = store.get(job_id)
    for number in range(int(times)):
        store.record(job, [("progress", {"by": os.getpid(), "number": number})] * (1 + number % 3))
    return 0


def read(store: JobStore, job_id: str, until: str) -> list[int]:
    """The ids of all events, page by page while they are written."""
    seen: list[int] = []
    end = time.monotonic() + SECONDS
    while len(seen) < int(until) and time.monotonic() < end:
        seen += [event.id for event in store.events(job_id, after=seen[-1] if seen else 0, limit=7)]
    return seen


def ask(store: JobStore, seed: str, times: str) -> int:
    """Verbs at random on jobs at random."""
    chance = random.Random(int(seed))
    ids = [job.id for job in store.list()]
    for _ in range(int(times)):
        with contextlib.suppress(Forbidden):
            chance.choice([store.cancel, store.stop, store.resume])(chance.choice(ids))
        time.sleep(chance.random() * 0.01)
    return 0


def work(store: JobStore, seed: str, worker: str) -> int:
    """Run jobs, badly, until nothing happens for a second."""
    chance = random.Random(int(seed))
    idle = time.monotonic()
    while time.monotonic() < idle + 1:
        job = store.claim(worker, PLACE, 1)
        if job is None:
            time.sleep(0.02)
            continue
        job = store.begun(job, f"{os.getpid()}.1", [])
        job = store.record(job, [], state="running")
        time.sleep(chance.random() * 0.02)
        job = store.beat(job)
        if job.asked == "cancel":
            store.finish(job, "cancelled", "cancelled")
        elif chance.random() < 0.3:
            store.interrupt(job, "crashed", wait=0.0, crashed=True)
        else:
            store.finish(job, "succeeded", "trained", stopped=job.asked == "stop")
        idle = time.monotonic()
    return 0


def create(store: JobStore, key: str) -> list[Any]:
    job, new = store.create({"name": "digits"}, key=key)
    return [job.id, new]


def open_and_create(store: JobStore) -> str:
    return store.create({"name": "digits"})[0].id


def take(store: JobStore, job_id: str, worker: str) -> str | None:
    """Take the job over, if nobody else does."""
    try:
        return store.take_over(store.get(job_id), worker, PLACE).worker
    except (LeaseLost, JobNotFound):
        return None


RACERS = {
    "claim": claim,
    "write": write,
    "read": read,
    "ask": ask,
    "work": work,
    "create": create,
    "open": open_and_create,
    "take": take,
}


def race(*commands: list[str]) -> list[Any]:
    """What processes with these arguments saw, all begun at one moment."""
    command = [sys.executable, "-P", "-m", "tests.training.jobs.racers"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([*command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        for words in commands
    ]
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=2 * SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [json.loads(text) for text in said]


def main() -> None:
    name, url, *arguments = sys.argv[1:]
    if name == "open":  # the opening is the race
        _wait()
    with contextlib.closing(JobStore(url)) as store:
        if name != "open":
            _wait()
        sys.stdout.write(json.dumps(RACERS[name](store, *arguments)))


def _wait() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main()
