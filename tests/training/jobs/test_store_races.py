"""Several processes at one database at the same time, for real."""

from itertools import pairwise

from tests.training.jobs.racers import race
from tests.training.jobs.rows import config, running, told
from training.jobs.states import ENDED, NEXT, STATES
from training.jobs.store import JobStore


def test_eight_processes_claim_each_job_once(store: JobStore, database_url: str) -> None:
    ids = [store.create(config())[0].id for _ in range(200)]
    claims = race(*(["claim", database_url, f"worker-{number}"] for number in range(8)))
    assert sorted(job for found in claims for job in found) == ids
    assert all(found == sorted(found) for found in claims)  # each in the order of the queue
    held = {job.id: job for job in store.held()}
    assert all(held[job].worker == f"worker-{number}" for number, found in enumerate(claims) for job in found)
    assert all(job.attempt == 1 and len(store.events(job.id)) == 2 for job in held.values())


def test_readers_see_events_without_a_gap_while_they_are_written(store: JobStore, database_url: str) -> None:
    job = running(store)
    times, writers = 60, 3
    total = len(store.events(job.id)) + writers * sum(1 + number % 3 for number in range(times))
    writing = [["write", database_url, job.id, str(times)]] * writers
    reading = [["read", database_url, job.id, str(total)]] * 2
    seen = race(*writing, *reading)[writers:]
    assert seen == [[*range(1, total + 1)]] * 2


def test_verbs_and_workers_at_random_leave_every_job_at_a_lawful_end(store: JobStore, database_url: str) -> None:
    for _ in range(10):
        store.create(config())
    clients = [["ask", database_url, str(seed), "60"] for seed in range(3)]
    workers = [["work", database_url, str(seed), f"worker-{seed}"] for seed in range(2)]
    race(*clients, *workers)
    jobs = store.list()
    assert {job.state for job in jobs} <= {*ENDED}
    for job in jobs:
        history = told(store, job)
        assert history[0] == "queued" and history[-1] == job.state and job.asked is None
        lawful = [(before, after) for before in STATES for after in (before, *NEXT[before])]
        assert {*pairwise(history)} <= {*lawful}


def test_one_key_makes_one_job_in_several_processes(store: JobStore, database_url: str) -> None:
    made = race(*[["create", database_url, "key"]] * 4)
    assert len({job for job, _ in made}) == 1 and [new for _, new in made].count(True) == 1
    assert len(store.list()) == 1


def test_one_of_several_processes_takes_a_job_over(store: JobStore, database_url: str) -> None:
    job = running(store)
    takers = race(*(["take", database_url, job.id, f"taker-{number}"] for number in range(3)))
    assert store.get(job.id).worker in takers
    attempts = store.get(job.id).attempt - job.attempt  # one after another may, each of the one before
    assert attempts == sum(taker is not None for taker in takers)
