"""What the examples in docstrings may use without importing it."""

from typing import Any

import pytest
import torch

import stn
from stn.config import InputConfig, ModelConfig, from_dict


@pytest.fixture(autouse=True)
def _names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(
        torch=torch, stn=stn, InputConfig=InputConfig, ModelConfig=ModelConfig, from_dict=from_dict
    )
