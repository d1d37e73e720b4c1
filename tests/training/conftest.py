"""A run folder of a real, small training."""

import dataclasses
from pathlib import Path

import pytest

from tests.training.runs import small, train
from training.runs import create_run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the preset `digits` with a small network and 2 epochs; not to be changed."""
    config = dataclasses.replace(small(), name="tiny")
    run = create_run(tmp_path_factory.mktemp("runs"), config)
    done = train("--resume", run)
    assert done.returncode == 0, done.stderr
    return run
