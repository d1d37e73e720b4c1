"""`stn worker` whose database does not answer, or never will."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgreSQL, postgresql
from tests.service.jobs.driven import store_at
from tests.service.jobs.test_unavailable import newer
from tests.training.jobs.workers import wait_for

__all__ = ["postgresql"]


@contextlib.contextmanager
def working(home: Path, **settings: str) -> "Iterator[subprocess.Popen[bytes]]":
    """`stn worker`; its log is in worker.txt."""
    command = [sys.executable, "-m", "service.commands.cli", "worker"]
    with (home / "worker.txt").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, "STN_HOME": str(home), **settings}, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(home: Path) -> str:
    return (home / "worker.txt").read_text()


@pytest.mark.slow
def test_a_worker_waits_for_a_database_that_does_not_answer_yet_and_says_so_once(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    url, pulse = postgresql.database(), tmp_path / "pulse"
    postgresql.stop()
    try:
        with working(tmp_path, STN_DATABASE=url, STN_PULSE=str(pulse)) as process:
            wait_for(lambda: "the worker waits for it" in said(tmp_path) or process.poll() is not None)
            time.sleep(3)  # and tries again
            assert process.poll() is None
            assert pulse.stat().st_mtime > time.time() - 3
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        with working(tmp_path, STN_DATABASE=url, STN_PULSE=str(pulse)) as process:
            wait_for(lambda: "the worker waits for it" in said(tmp_path) or process.poll() is not None)
            postgresql.start()
            wait_for(lambda: "runs the jobs" in said(tmp_path) or process.poll() is not None)
            began = pulse.stat().st_mtime_ns
            wait_for(lambda: pulse.stat().st_mtime_ns > began or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    finally:
        if postgresql.process is None:
            postgresql.start()
    lines = said(tmp_path).splitlines()
    assert [line for line in lines if "does not answer" in line] == lines[:1]
    assert "alembic" not in said(tmp_path) and "Context impl" not in said(tmp_path)
    assert any("is now of version" in line for line in lines)


@pytest.mark.slow
def test_a_worker_ends_at_a_database_of_a_newer_version(tmp_path: Path) -> None:
    store_at(tmp_path).close()
    with working(tmp_path) as process:
        wait_for(lambda: "runs the jobs" in said(tmp_path) or process.poll() is not None)
        newer(tmp_path / "jobs.sqlite")
        assert process.wait(60) == 1
    assert "Install that version again" in said(tmp_path) and "what is trained goes on" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    with working(tmp_path) as process:
        assert process.wait(120) == 2
    assert said(tmp_path).count("a newer stn has upgraded it") == 1
    assert "Traceback" not in said(tmp_path)
