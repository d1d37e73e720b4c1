"""A connection to the database of jobs, SQLite or PostgreSQL: transactions, its clock, and what happens when it is gone."""

import contextlib
import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, func, make_url, select

from training.jobs.job import StoreUnavailable

PATIENCE = 5.0
"""Seconds to wait for a lock; see `Database`."""


class Database:
    """Transactions on one database; any thread may use it, a forked process may not."""

    def __init__(
        self, url: str | URL, patience: float = PATIENCE, check: Callable[[Connection], None] | None = None
    ) -> None:
        """Connects to nothing yet.

        Args:
            patience: seconds for a lock, a free connection or a new one; a whole statement has twice as long, and after
                three times as long without an answer a connection is given up.
            check: called where a statement does not fit the tables, which another program may have changed; what it raises
                is what the transaction raises then.

        Raises:
            ValueError: the URL names no database of these two kinds.
        """
        self.url = _known(url)
        self.engine = _engine(self.url, patience)
        self._check = check

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database, or StoreUnavailable."""
        with _answering(self.url), self._fitting(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or StoreUnavailable: then nothing of it, or (rarely, where the answer
        to the commit was lost) all of it has been written.

        On SQLite no other process writes meanwhile; on PostgreSQL rows are locked by those who read them for a change.
        """
        with (
            _answering(self.url),
            self._fitting(),
            self.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextlib.contextmanager
    def _fitting(self) -> Iterator[None]:
        try:
            yield
        except (exc.ProgrammingError, exc.OperationalError) as error:
            if self._check is not None and _is_of_tables(error):
                with self.engine.connect() as connection:
                    self._check(connection)
            raise

    def close(self) -> None:
        self.engine.dispose()


def clock(connection: Connection) -> datetime:
    """The database's own time, the same for all processes that use it."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now = connection.scalar(select(func.clock_timestamp()))
    assert isinstance(now, datetime)
    return now.astimezone(UTC)


def plain(value: Any) -> Any:
    """The value as every database's JSON takes it: numbers that are not finite are null, text is whole characters."""
    match value:
        case str():
            return text(value)
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {text(str(name)): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def text(value: str) -> str:
    """The text with what PostgreSQL refuses, such as a NUL, replaced."""
    return value.encode(errors="replace").decode().replace("\0", "\ufffd")


def _known(url: str | URL) -> URL:
    try:
        known = make_url(url)
    except exc.ArgumentError:
        known = None
    if known is not None and known.drivername in ("postgresql", "postgresql+psycopg"):
        return known.set(drivername="postgresql+psycopg")
    if known is not None and known.drivername == "sqlite" and _is_file(known):
        return known
    given = repr(url) if known is None else known.render_as_string(hide_password=True)
    raise ValueError(f"database must be sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME, got {given}")


def _is_file(url: URL) -> bool:
    return url.database not in (None, "", ":memory:") and not url.query


def _engine(url: URL, patience: float) -> Engine:
    common: dict[str, Any] = {
        "json_serializer": lambda value: json.dumps(plain(value), allow_nan=False),
        "pool_timeout": patience,
    }
    if url.drivername == "sqlite":
        engine = create_engine(url, creator=lambda: _open_sqlite(url, patience), **common)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    milliseconds = round(patience * 1000)
    limits = {
        "lock_timeout": milliseconds,
        "statement_timeout": 2 * milliseconds,
        "idle_in_transaction_session_timeout": 2 * milliseconds,  # of a process that stands still: its locks are freed
    }
    defaults = {
        "application_name": "stn",
        "connect_timeout": str(max(2, math.ceil(patience))),
        "options": " ".join(f"-c {name}={limit}" for name, limit in limits.items()),
    }
    try:
        from training.jobs.impatient import connect

        engine = create_engine(url.set(query={**defaults, **url.query}), pool_pre_ping=True, **common)
    except ImportError as error:
        raise ValueError(f"database needs a package for PostgreSQL: pip install 'stn[postgresql]' ({error})") from None
    opening = connect(3 * patience)
    event.listen(engine, "do_connect", lambda _, __, args, options: opening(*args, **options))
    return engine


def _open_sqlite(url: URL, patience: float) -> sqlite3.Connection:
    """A connection to the file, which must exist: one that has gone is not replaced by an empty one."""
    assert url.database
    name = f"{Path(url.database).absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(name, uri=True, timeout=patience, check_same_thread=False)
    connection.isolation_level = None  # BEGIN is ours, see below
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that reads before it writes could not write after another one: those that write say so at once."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def prepare_sqlite(url: URL, patience: float) -> None:
    """The file's folder, and the file in WAL mode, in which readers and a writer do not wait for each other.

    SQLite answers at once, without waiting, where two processes change the mode together; so it is tried again.
    """
    assert url.database
    end = time.monotonic() + patience
    with _answering(url):
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                with contextlib.closing(sqlite3.connect(url.database, timeout=patience)) as connection:
                    connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)


def _is_of_tables(error: exc.DBAPIError) -> bool:
    """Whether a statement names a table or a column that there is not; SQLite says it as it says everything."""
    return (
        isinstance(error, exc.ProgrammingError) or "no such " in str(error.orig) or "has no column" in str(error.orig)
    )


@contextlib.contextmanager
def _answering(url: URL) -> Iterator[None]:
    """Whatever says that the database does not answer, as StoreUnavailable."""
    try:
        yield
    except (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.NotSupportedError):
        raise
    except (exc.DBAPIError, exc.TimeoutError, sqlite3.Error, OSError) as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        where = url.set(query={}).render_as_string(hide_password=True)
        raise StoreUnavailable(f"the database of jobs, {where}, does not answer: {why}") from error
