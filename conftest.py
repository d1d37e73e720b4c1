"""What the examples in docstrings may use without importing it, what tests have in common, and that nothing is skipped
where nothing may be."""

import os
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
import torch

import stn
from stn.config import InputConfig, ModelConfig, from_dict

hypothesis.settings.register_profile("stn", deadline=None)  # tests keep all processors busy
hypothesis.settings.load_profile("stn")


@pytest.fixture(autouse=True)
def _names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(
        torch=torch, stn=stn, InputConfig=InputConfig, ModelConfig=ModelConfig, from_dict=from_dict
    )


@pytest.fixture(scope="session", autouse=True)
def _settings() -> Iterator[None]:
    """Starlette's TestClient addresses the service by a name which without keys is none of its own; tests keep all
    processors busy, and wait for trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STN_ALLOWED_HOSTS", "testserver")
        patch.setenv("STN_GIVE_WAY", "false")
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first, so that at the end not all processors but one are idle."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With STN_TEST_NOTHING_SKIPS, as in `.ci/run`, a test that skips has failed."""
    report = yield
    if report.skipped and os.environ.get("STN_TEST_NOTHING_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"nothing may skip here, but this did: {report.longrepr}"
    return report
