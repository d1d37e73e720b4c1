"""A service without a worker: what would happen in one is done to its store."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from service.settings import Settings
from tests.service.conftest import write_model
from tests.service.jobs.driven import store_at
from tests.service.serving import serving
from training.jobs.store import JobStore


@pytest.fixture(scope="module")
def job_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny" / "1.safetensors")
    return home


@pytest.fixture(scope="module")
def url(prepared: None, job_home: Path) -> Iterator[str]:
    with serving(Settings(home=job_home)) as address:
        yield f"http://{address}"


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture
def store(job_home: Path) -> Iterator[JobStore]:
    """As the worker has it; jobs of other tests are put aside."""
    store = store_at(job_home)
    for job in store.list(states=["queued"], limit=200):
        store.cancel(job.id)
    yield store
    store.close()
