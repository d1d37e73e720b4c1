"""The tables, made or brought to this program's version by Alembic."""

import contextlib
import logging
import threading

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from training.jobs.database import Database, prepare_sqlite
from training.jobs.job import NewerDatabase

log = logging.getLogger(__name__)

_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it works on in its modules
PATIENCE = 60.0
"""Seconds for another process's upgrade."""
VERSION_TABLE = "jobs_version"
_LOCK = 0x73746E  # PostgreSQL's advisory lock that upgrades take


def upgrade(database: Database, version: str = "head") -> None:
    """Create the tables or bring them to a version, in one transaction: all of it or nothing. Processes that start at once
    wait for each other.

    Raises:
        NewerDatabase: a newer program has upgraded them.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every opening; what changes is told below
    if database.url.drivername == "sqlite":
        prepare_sqlite(database.url, PATIENCE)
    config, script = _migrations()
    with database.read() as connection:
        if version_of(connection) == script.get_current_head():
            return
    patient = Database(database.url, PATIENCE)
    with contextlib.closing(patient), _ONE_AT_A_TIME, patient.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        check(connection)
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        before = version_of(connection)
        command.upgrade(config, version)
        now = version_of(connection)
        if now != before:  # another process may have been first
            log.info("the database of jobs is now of version %s (before: %s)", now, before or "empty")


def version_of(connection: Connection) -> str | None:
    """The version of the tables, None where there are none."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _migrations() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", "training.jobs:migrations")
    return config, ScriptDirectory.from_config(config)


def check(connection: Connection) -> None:
    """Nothing, or NewerDatabase."""
    _, script = _migrations()
    current = version_of(connection)
    known = [revision.revision for revision in script.walk_revisions()]
    if current is not None and current not in known:
        raise NewerDatabase(
            f"database must be of version {known[0]} or older, got {current}: a newer stn has upgraded it. Install that "
            "version again, or give STN_DATABASE another database"
        )
