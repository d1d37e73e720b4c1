"""What docs/inference-protocol.md shows is true of the model that comes with the package."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.models.folder import register_shipped
from service.settings import Settings
from tests.service.serving import serving

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "inference-protocol.md").read_text()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    register_shipped(settings.models)
    with serving(settings) as address:
        yield address


def test_the_python_runs(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block.replace("localhost:8000", address), {})


def test_the_answers_to_curl_are_those_it_shows(address: str) -> None:
    shown = re.findall(r"```bash\n([^`]*)```\n\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) == 2
    for command, expected in shown:
        answer = _run(command, address)
        assert _but_the_id(json.loads(answer)) == _but_the_id(json.loads(expected))


def test_the_body_of_one_picture_is_answered_with_bytes(address: str, tmp_path: Path) -> None:
    (command,) = (block for block in re.findall(r"```bash\n([^`]*)```", PAGE) if "answer.bin" in block)
    _run(command.replace("answer.bin", str(tmp_path / "answer.bin")), address)
    assert (tmp_path / "answer.bin").read_bytes().endswith(b"\1\0\0\0" + b"6")


def _run(command: str, address: str) -> bytes:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.replace("localhost:8000", address)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return done.stdout


def _but_the_id(answer: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in answer.items() if name != "request_id"}
