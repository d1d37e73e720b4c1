"""Databases of older and newer versions, and many processes that make one."""

import contextlib
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from tests.training.jobs.racers import race
from tests.training.jobs.rows import PLACE, WORKER, again, config, running
from training.jobs.database import Database
from training.jobs.store import JobStore
from training.jobs.tables import metadata
from training.jobs.upgrade import VERSION_TABLE, upgrade, version_of

INDEXES = {"jobs_state_id", "jobs_dataset_state"}


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_a_database_of_an_older_version_is_upgraded_in_place(database_url: str, version: str) -> None:
    with contextlib.closing(Database(database_url)) as database:
        upgrade(database, version)
        assert bool(INDEXES & indexes(database)) is (version != "0001")
        with database.read() as connection:
            assert version_of(connection) == version and not inspect(connection).has_table("workers")
        before = fill(database_url, database)
        with contextlib.closing(JobStore(database_url)) as store:
            assert (store.list(), [store.events(job.id) for job in store.list()]) == before
            assert again(store).attempt == 2
            store.sign(WORKER, PLACE, 1)
            assert store.waiting(store.list()) == {}
        assert indexes(database) >= INDEXES
        with database.read() as connection:
            assert version_of(connection) == "0003"


def test_the_migrations_make_the_tables_of_the_program(store: JobStore, database_url: str) -> None:
    with contextlib.closing(Database(database_url)) as database, database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_database_of_a_newer_version_is_refused_and_left_alone(store: JobStore, database_url: str) -> None:
    store.create(config())
    with contextlib.closing(Database(database_url)) as database:
        with database.write() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
        with pytest.raises(ValueError, match=r"version 0003 or older, got 0999: .* Install that version again, or"):
            JobStore(database_url)
        with database.read() as connection:
            assert version_of(connection) == "0999"
    assert len(store.list()) == 1


def test_processes_that_start_together_make_the_tables_once(database_url: str) -> None:
    made = race(*[["open", database_url]] * 4)
    with contextlib.closing(JobStore(database_url)) as store:
        assert sorted(made) == sorted(job.id for job in store.list()) and len({*made}) == 4


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///x?mode=ro", "mysql://u:secret@h/d", "jobs"]
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="database must be sqlite:///PATH or postgresql") as refusal:
        JobStore(url)
    assert "secret" not in str(refusal.value)


def test_postgresql_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "training.jobs.impatient", raising=False)
    with pytest.raises(ValueError, match=r"pip install 'stn\[postgresql\]'"):
        JobStore("postgresql://u:secret@localhost/jobs")


def fill(url: str, database: Database) -> tuple:
    """A job with its events, written while the tables are of an older version; all that the store will find."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.jobs.store.upgrade", lambda _: None)
        with contextlib.closing(JobStore(url)) as store:
            store.interrupt(running(store), "crashed", wait=0.0, crashed=True)
            return store.list(), [store.events(job.id) for job in store.list()]


def indexes(database: Database) -> set[str | None]:
    with database.read() as connection:
        connection.execute(
            text("SELECT id FROM jobs")
        )  # SQLite's pragmas alone do not see what another connection has made
        return {index["name"] for index in inspect(connection).get_indexes("jobs")}
