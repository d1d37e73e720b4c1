"""Many jobs and many hands: each job runs once, and every job ends in a lawful state, whoever asks for what when.

With a stand-in for the training in the default run, and with real trainings in the exhaustive one.
"""

import contextlib
import itertools
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.databases import PostgreSQL
from tests.training.jobs.workers import (
    PROGRAM,
    ended,
    starts,
    states,
    submit,
    submit_quick,
    trainings,
    wait_for,
    worker,
)
from tests.training.runs import small
from training.jobs.job import Job, StoreUnavailable
from training.jobs.states import ENDED, NEXT, Forbidden
from training.jobs.store import JobStore


@pytest.mark.parametrize(
    ("count", "real"),
    [pytest.param(60, False, marks=pytest.mark.slow), pytest.param(200, True, marks=pytest.mark.exhaustive)],
)
def test_two_workers_at_one_postgresql_run_each_job_once(
    postgresql: PostgreSQL, tmp_path: Path, count: int, real: bool
) -> None:
    store = JobStore(postgresql.database())
    home, options = tmp_path / "home", {"slots": 2} | ({} if real else {"program": PROGRAM})
    url = store_url(store)
    with contextlib.closing(store), worker(url, home, **options) as first, worker(url, home, **options):
        jobs = [submit(store, small(max_steps=2)) if real else submit_quick(store, steps=3) for _ in range(count)]
        for job in jobs:
            done = ended(store, job, 7200)
            assert (done.state, done.attempt) == ("succeeded", 1)
            assert states(store, job) == ["queued", "starting", "running", "succeeded"]
            if not real:
                assert len(starts(first, job)) == 1
        workers = {store.get(job.id).worker for job in jobs}
        assert len(workers) == 2
        begun = [
            next(event.time for event in store.events(job.id) if event.data.get("state") == "starting") for job in jobs
        ]
        assert begun == sorted(begun)


def store_url(store: JobStore) -> str:
    return store._database.url.render_as_string(hide_password=False)


class Client(threading.Thread):
    """Asks for things at random moments."""

    def __init__(self, url: str, jobs: list[Job], times: int, pause: float, seed: int) -> None:
        super().__init__()
        self.store, self.jobs, self.times, self.pause = JobStore(url), jobs, times, pause
        self.chance = random.Random(seed)
        self.done: list[tuple[str, str]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(self.times):
                verb = self.chance.choice(("stop", "cancel", "resume", "resume"))
                with contextlib.suppress(Forbidden, StoreUnavailable):
                    getattr(self.store, verb)(self.chance.choice(self.jobs).id)
                time.sleep(self.chance.random() * 2 * self.pause)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.store.close()


@pytest.mark.parametrize(
    ("times", "real"),
    [pytest.param(60, False, marks=pytest.mark.slow), pytest.param(200, True, marks=pytest.mark.exhaustive)],
)
def test_whatever_three_clients_ask_for_every_job_ends_in_a_lawful_state_and_none_runs_on(
    store: JobStore, database_url: str, tmp_path: Path, times: int, real: bool
) -> None:
    home = tmp_path / "home"
    options: dict[str, Any] = {"slots": 2, "retries": 2, "grace": 10.0 if real else 2.0} | (
        {} if real else {"program": PROGRAM}
    )
    with worker(database_url, home, **options) as running:
        jobs = [submit(store, small(max_steps=300)) if real else submit_quick(store, steps=100) for _ in range(4)]
        clients = [Client(database_url, jobs, times // 3 + 1, 6.0 if real else 0.2, seed) for seed in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
            assert client.error is None
        for job in jobs:
            done = ended(store, job, 1800)
            assert done.state in ENDED and done.asked is None and done.failure is None, done
            lawful(store, job)
            if not real:
                begun = starts(running, job)
                assert len({start["attempt"] for start in begun}) == len(begun)
                assert not any(start["others"] for start in begun)
        wait_for(lambda: not trainings(home))
        assert running.process.poll() is None


def lawful(store: JobStore, job: Job) -> None:
    """Every change of its state is one of those that there are."""
    went = states(store, job)
    for before, after in itertools.pairwise(went):
        assert before == after or after in NEXT[before], went
