"""What the commands start is recorded."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.commands import judge


@pytest.fixture
def calls(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    """What processes would be started with that judge a network, and the request that each would read."""
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def record(*arguments: str) -> int:
        calls.append((list(arguments), json.loads(Path(arguments[-1]).read_text())))
        return 0

    monkeypatch.setenv("STN_HOME", str(home))
    monkeypatch.setattr(judge, "run_module", record)
    return calls
