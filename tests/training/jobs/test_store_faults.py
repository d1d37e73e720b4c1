"""A database that is stopped, frozen, locked or lost, for real; and that all is well afterwards without a restart."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from tests.databases import PostgreSQL
from tests.training.jobs.rows import PLACE, WORKER, again, config, running
from training.jobs.database import Database
from training.jobs.rows import lock
from training.jobs.store import JobStore, StoreUnavailable


@pytest.fixture
def impatient(postgresql: PostgreSQL) -> Iterator[JobStore]:
    with contextlib.closing(JobStore(postgresql.database(), patience=0.5)) as store:
        yield store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "jobs.sqlite"


def test_a_server_that_was_stopped_is_found_again(impatient: JobStore, postgresql: PostgreSQL) -> None:
    job = running(impatient)
    postgresql.stop()
    try:
        for call in (impatient.held, lambda: impatient.beat(job), lambda: impatient.create(config())):
            with pytest.raises(StoreUnavailable, match="the database of jobs, postgresql.*, does not answer: "):
                call()
        with pytest.raises(StoreUnavailable):
            JobStore(str(impatient.url))
    finally:
        postgresql.start()
    assert impatient.beat(job).beat == job.beat + 1
    assert impatient.create(config())[1]


def test_a_server_that_was_restarted_between_two_calls_is_not_noticed(
    impatient: JobStore, postgresql: PostgreSQL
) -> None:
    job = running(impatient)
    postgresql.stop()
    postgresql.start()
    assert impatient.beat(job).beat == job.beat + 1


def test_a_frozen_server_is_waited_for_a_while(impatient: JobStore, postgresql: PostgreSQL) -> None:
    job = running(impatient)
    with frozen(postgresql):
        for _ in range(2):
            begin = time.monotonic()
            with pytest.raises(StoreUnavailable, match="does not answer"):
                impatient.beat(job)
            assert time.monotonic() - begin < 5  # three times its patience, and two seconds for a new connection
    assert impatient.beat(job).state == "running"


def test_a_row_that_stays_locked(impatient: JobStore, postgresql: PostgreSQL) -> None:
    first, second = (impatient.create(config())[0] for _ in range(2))
    with psycopg.connect(f"host={postgresql.folder} user={impatient.url.username} dbname=postgres") as connection:
        connection.execute("SELECT * FROM jobs WHERE id = %s FOR UPDATE", [first.id])
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            impatient.cancel(first.id)
        assert again(impatient).id == second.id
    assert impatient.cancel(first.id).state == "cancelled"


def test_a_process_that_stands_still_with_a_row_locked_loses_it(impatient: JobStore) -> None:
    job, _ = impatient.create(config())

    def stand_still() -> None:
        with contextlib.closing(Database(impatient.url, patience=0.5)) as database, database.write() as connection:
            assert lock(connection, job.id) == job
            time.sleep(1.3)  # as after SIGSTOP; twice its patience is the limit
            assert impatient.cancel(job.id).state == "cancelled"
            connection.execute(select(1))

    with pytest.raises(StoreUnavailable, match="idle-in-transaction timeout"):
        stand_still()


def test_a_server_that_dies_loses_nothing(impatient: JobStore, postgresql: PostgreSQL) -> None:
    job = running(impatient)
    postgresql.stop(signal.SIGQUIT)
    postgresql.start()
    assert impatient.get(job.id) == job and len(impatient.events(job.id)) == 3


def test_a_file_that_another_process_locks(file: Path) -> None:
    with contextlib.closing(JobStore(f"sqlite:///{file}", patience=0.3)) as store:
        job = running(store)
        with locked(file):
            for call in (lambda: store.beat(job), lambda: store.create(config()), lambda: store.cancel(job.id)):
                with pytest.raises(StoreUnavailable, match=r"jobs\.sqlite, does not answer: database is locked"):
                    call()
            assert store.get(job.id) == job and store.held() == [job] and len(store.events(job.id)) == 3
            assert store.claim(WORKER, PLACE, 1) is None
            with contextlib.closing(JobStore(f"sqlite:///{file}")) as other:
                assert other.get(job.id) == job
        assert store.beat(job).beat == job.beat + 1


def test_a_lock_that_is_let_go_in_time_is_waited_for(file: Path) -> None:
    with contextlib.closing(JobStore(f"sqlite:///{file}")) as store:
        with locked(file, seconds=0.7):
            assert store.create(config())[1]
        assert len(store.list()) == 1


def test_a_file_that_is_gone_is_not_replaced_by_an_empty_one(file: Path) -> None:
    with contextlib.closing(JobStore(f"sqlite:///{file}")) as store:
        job = running(store)
        store.close()
        file.parent.rename(file.parent.with_name("away"))
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            store.beat(job)
        file.parent.with_name("away").rename(file.parent)
        assert store.beat(job).state == "running"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_text("something else " * 100)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}", patience=0.1)


def test_the_file_is_in_wal_mode_with_whole_commits(file: Path) -> None:
    with contextlib.closing(JobStore(f"sqlite:///{file}")):
        pass
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read() if sys.argv[2] == "0" else __import__("time").sleep(float(sys.argv[2]))
"""


@contextlib.contextmanager
def locked(file: Path, seconds: float = 0.0) -> Iterator[None]:
    """Another process holds the file's lock, for so long, or until the end."""
    command = [sys.executable, "-c", LOCK, str(file), f"{seconds:g}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stdout.readline() == b"locked\n"
            yield
        finally:
            process.communicate()


@contextlib.contextmanager
def frozen(server: PostgreSQL) -> Iterator[None]:
    """The server and all its processes stand still, as under `docker pause`."""
    assert server.process
    main = server.process.pid
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    processes = [main, *map(int, children)]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
