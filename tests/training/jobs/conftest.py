"""A store in every kind of database."""

from collections.abc import Iterator

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
