"""A store in every kind of database, and one in SQLite."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import database_url, postgresql
from training.jobs.store import JobStore

__all__ = ["database_url", "postgresql"]


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    """Empty."""
    made = JobStore(database_url)
    yield made
    made.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.fixture
def jobs(url: str) -> Iterator[JobStore]:
    """In SQLite."""
    with contextlib.closing(JobStore(url)) as store:
        yield store
