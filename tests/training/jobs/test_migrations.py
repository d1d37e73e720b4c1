"""Databases of older and newer versions, and many processes that make one."""

import contextlib
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, Table, insert, inspect, select, text

from tests.training.jobs.racers import race
from tests.training.jobs.rows import PLACE, WORKER, again, config, running
from training.jobs.database import Database
from training.jobs.job import NewerDatabase
from training.jobs.store import JobStore
from training.jobs.tables import metadata
from training.jobs.upgrade import VERSION_TABLE, upgrade, version_of

INDEXES = {"jobs_state_id", "jobs_dataset_state"}


@pytest.mark.parametrize("version", ["0001", "0002", "0003"])
def test_a_database_of_an_older_version_is_upgraded_in_place(database_url: str, version: str, tmp_path: Path) -> None:
    with contextlib.closing(Database(database_url)) as database:
        upgrade(database, version)
        assert bool(INDEXES & indexes(database)) is (version != "0001")
        with database.read() as connection:
            assert version_of(connection) == version
            assert inspect(connection).has_table("workers") is (version == "0003")
        before = fill(database, tmp_path)
        with contextlib.closing(JobStore(database_url)) as store:
            assert (store.list(), [store.events(job.id) for job in store.list()]) == before
            assert [job.process for job in store.list()] == [None, "4711.12345"]
            assert again(store).attempt == 1
            store.sign(WORKER, PLACE, 1)
            assert store.waiting(store.list()) == {}
        assert indexes(database) >= INDEXES
        with database.read() as connection:
            assert version_of(connection) == "0004"


def test_the_migrations_make_the_tables_of_the_program(store: JobStore, database_url: str) -> None:
    with contextlib.closing(Database(database_url)) as database, database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_database_of_a_newer_version_is_refused_and_left_alone(store: JobStore, database_url: str) -> None:
    store.create(config())
    with contextlib.closing(Database(database_url)) as database:
        with database.write() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
        with pytest.raises(ValueError, match=r"version 0004 or older, got 0999: .* Install that version again, or"):
            JobStore(database_url)
        with database.read() as connection:
            assert version_of(connection) == "0999"
    assert len(store.list()) == 1
    with contextlib.closing(Database(database_url)) as database, database.write() as connection:
        connection.execute(text("ALTER TABLE jobs RENAME COLUMN process TO processes"))
        connection.execute(text("DROP TABLE workers"))
    for statement in (store.list, lambda: store.sign(WORKER, PLACE, 1), lambda: store.create(config())):
        with pytest.raises(NewerDatabase, match="got 0999"):  # also where it was opened before
            statement()


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


def fill(database: Database, folder: Path) -> tuple:
    """A job that waits and one that runs, as an older program wrote them down; all that the store will find."""
    with contextlib.closing(JobStore(f"sqlite:///{folder / 'filled.sqlite'}")) as store:
        store.interrupt(running(store), "crashed", wait=0.0, crashed=True)
        held = running(store)  # the same, at its next attempt
        with store._database.read() as source, database.write() as connection:
            for name in ("jobs", "events"):
                table = Table(name, MetaData(), autoload_with=connection)
                for row in source.execute(select(metadata.tables[name])).mappings():
                    values = {column: value for column, value in row.items() if column in table.c}
                    if name == "jobs" and row["id"] == held.id:
                        values.update(pid=4711, pid_started="12345")
                    connection.execute(insert(table), values)
        return store.list(), [store.events(job.id) for job in store.list()]


def indexes(database: Database) -> set[str | None]:
    with database.read() as connection:
        connection.execute(
            text("SELECT id FROM jobs")
        )  # SQLite's pragmas alone do not see what another connection has made
        return {index["name"] for index in inspect(connection).get_indexes("jobs")}
