"""Databases of jobs for tests: a file, and a PostgreSQL server of this test run's own."""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class PostgreSQL:
    """A server on a Unix socket in a temporary folder, of a user who is not root, which it refuses."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(
            tempfile.mkdtemp(prefix="stn-pg-", dir="/tmp")
        )  # a socket's path is short, whatever TMPDIR is
        self.user = _ordinary_user() if os.getuid() == 0 else None
        if self.user:
            shutil.chown(self.folder, self.user)
        self.process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        options = ["--auth=trust", "--username=stn", "--no-sync", "--encoding=UTF8", "--no-instructions"]
        made = self._popen("initdb", "-D", str(self.folder / "data"), *options)
        assert made.wait(60) == 0, self.log()

    def start(self) -> None:
        """Returns when it answers."""
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"]
        self.process = self._popen("postgres", "-D", str(self.folder / "data"), *options)
        ready = [str(self.programs / "pg_isready"), "-q", "-h", str(self.folder), "-d", "postgres", "-U", "stn"]
        end = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """As an administrator does it: connections are cut. With SIGQUIT nothing is tidied up."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def database(self) -> str:
        """The URL of what is an empty database to its user: a schema of that user's own, which is made faster."""
        import psycopg

        name = f"jobs{next(self._numbers)}"
        with psycopg.connect(f"host={self.folder} user=stn dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN")
            connection.execute(f"CREATE SCHEMA AUTHORIZATION {name}")
        return f"postgresql+psycopg://{name}@/postgres?host={self.folder}"

    def log(self) -> str:
        return (self.folder / "log.txt").read_text(errors="replace")

    def _popen(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """It ends when this process is gone, however that came."""
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [str(self.programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.user,
                group=self.user and pwd.getpwnam(self.user).pw_gid,
                extra_groups=[] if self.user else None,
                preexec_fn=end_with_parent,
                start_new_session=True,
            )


def end_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _ordinary_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _programs() -> Path | None:
    """The folder with the newest server's programs, where Debian keeps them off the PATH, or on it."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return found and Path(found).resolve().parent


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server. A test that stops it starts it again."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'stn[postgresql]'")
    programs = _programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's programs: apt-get install postgresql")
    server = PostgreSQL(programs)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    return request.getfixturevalue("postgresql").database()


mostly_sqlite = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive)], indirect=True
)
"""For what asks of the database only statements that tests of the store try on both; on PostgreSQL in exhaustive tests."""
