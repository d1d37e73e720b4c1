"""Run folders of real, small trainings."""

import dataclasses
from pathlib import Path

import pytest

from tests.training.runs import restless, small, trained_apart


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the preset `digits` with a small network and 2 epochs; not to be changed."""
    return trained_apart(tmp_path_factory.mktemp("runs"), dataclasses.replace(small(), name="tiny"))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `restless()`, from its beginning to its end in one go; not to be changed."""
    return trained_apart(tmp_path_factory.mktemp("undisturbed"), restless())
