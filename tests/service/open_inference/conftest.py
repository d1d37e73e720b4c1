"""A service for requests that are written byte by byte."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import serving, write_model


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service with the tiny model, which takes few images and short bodies."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models/tiny/1.safetensors")
    with serving(home, max_images=4, max_body_bytes=100_000) as client:
        yield client
