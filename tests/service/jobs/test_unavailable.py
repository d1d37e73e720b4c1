"""A database that does not answer: jobs are refused for the moment, everything else goes on."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from service.settings import Settings
from tests.databases import PostgreSQL, postgresql
from tests.service.conftest import encode, picture, write_model
from tests.service.jobs.driven import config, store_at
from tests.service.jobs.sse import Watcher
from tests.service.serving import serving
from training.jobs.upgrade import VERSION_TABLE

__all__ = ["postgresql"]

NOWHERE = "postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing"
NEWER = "9999_from_the_future"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_model(tmp_path / "models" / "tiny" / "1.safetensors")
    return tmp_path


def predict(api: httpx2.Client) -> int:
    headers = {"Content-Type": "image/png"}
    return api.post("/v1/predict", content=encode(picture()), headers=headers).status_code


def newer(file: Path) -> None:
    """As a program of the future leaves it."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (NEWER,))
        connection.execute("ALTER TABLE jobs RENAME COLUMN process TO processes")


def test_without_its_database_the_service_serves_and_says_so_of_jobs(prepared: None, home: Path) -> None:
    settings = Settings(home=home, database=NOWHERE)
    with serving(settings) as address, httpx2.Client(base_url=f"http://{address}", timeout=30) as api:
        assert predict(api) == 200
        for path in ("", "/some", "/some/events", "/some/logs", "/some/artifacts/config.json"):
            answer = api.get(f"/v1/jobs{path}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), path
            assert "secret" not in answer.text
        assert 'stn_jobs{state="queued"} NaN' in api.get("/metrics").text
        assert (predict(api), api.get("/v2/health/ready").status_code) == (200, 200)


def test_a_database_of_a_newer_version_is_left_alone(
    prepared: None, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_at(home).close()
    with (
        serving(Settings(home=home)) as before,
        serving(Settings(home=home)) as address,
        httpx2.Client(base_url=f"http://{address}") as api,
    ):
        assert httpx2.get(f"http://{before}/v1/jobs").status_code == 200
        newer(home / "jobs.sqlite")
        answer = httpx2.get(f"http://{before}/v1/jobs")
        assert (answer.status_code, "a newer stn has upgraded it" in answer.json()["detail"]) == (503, True)
        for _ in range(2):
            answer = api.get("/v1/jobs")
            assert (predict(api), answer.status_code, "retry-after" in answer.headers) == (200, 503, False)
            assert answer.headers["content-type"] == "application/problem+json"
            assert "a newer stn has upgraded it. Install that version again" in answer.json()["detail"]
    assert "cannot be used: database must be of version" in caplog.text


def test_an_address_of_no_database_is_told_to_the_log_alone(
    prepared: None, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(home=home, database="mysql://nobody:secret@nowhere/jobs")
    with serving(settings) as address, httpx2.Client(base_url=f"http://{address}") as api:
        answer = api.get("/v1/jobs")
    assert (answer.status_code, "retry-after" in answer.headers, "nowhere" in answer.text) == (503, False, False)
    assert "mysql://nobody:***@nowhere/jobs" in caplog.text and "secret" not in caplog.text


def test_jobs_are_well_again_after_the_server_of_their_database_was_away(
    prepared: None, home: Path, postgresql: PostgreSQL
) -> None:
    body, headers = {"preset": "digits"}, {"Idempotency-Key": "k"}
    settings = Settings(home=home, database=postgresql.database())
    with serving(settings) as address, httpx2.Client(base_url=f"http://{address}", timeout=60) as api:
        job = api.post("/v1/jobs", json=body, headers=headers).json()
        watcher = Watcher(f"http://{address}", f"/v1/jobs/{job['id']}/events").until(1)
        postgresql.stop(signal.SIGQUIT)
        try:
            for answer in (api.get("/v1/jobs"), api.post("/v1/jobs", json=body), api.delete(f"/v1/jobs/{job['id']}")):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
                assert answer.headers["content-type"] == "application/problem+json"
            assert predict(api) == 200
        finally:
            postgresql.start()
        assert api.get(f"/v1/jobs/{job['id']}").json()["state"] == "queued"
        assert api.post("/v1/jobs", json=body, headers=headers).json()["id"] == job["id"]
        assert len(api.get("/v1/jobs").json()["jobs"]) == 1
        assert api.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
        assert watcher.join().ids == [1, 2]


def test_while_the_database_is_locked_requests_are_refused_and_streams_stay(prepared: None, home: Path) -> None:
    store = store_at(home)
    job = store.create(config())[0]
    with serving(Settings(home=home)) as address, httpx2.Client(base_url=f"http://{address}", timeout=30) as api:
        watcher = Watcher(f"http://{address}", f"/v1/jobs/{job.id}/events").until(1)
        connection = sqlite3.connect(home / "jobs.sqlite", isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        answer = api.post("/v1/jobs", json={"name": "x"}, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert time.monotonic() - began < 15
        assert predict(api) == 200
        connection.execute("ROLLBACK")
        connection.close()
        again = api.post("/v1/jobs", json={"name": "x"}, headers={"Idempotency-Key": "k"})
        assert again.status_code == 202
        store.cancel(job.id)
        assert watcher.join().ids == [1, 2]
        assert watcher.messages[-1].kind == "end"
    assert len(store.list()) == 2
    store.close()


def test_a_server_that_nobody_asks_about_jobs_makes_no_database_and_imports_none_of_it(
    prepared: None, home: Path
) -> None:
    with serving(Settings(home=home)) as address, httpx2.Client(base_url=f"http://{address}") as api:
        assert predict(api) == 200
        assert 'stn_jobs{state="queued"} 0.0' in api.get("/metrics").text
    assert not (home / "jobs.sqlite").exists()
    code = "import sys, service.app; print([name for name in ('sqlalchemy', 'alembic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
