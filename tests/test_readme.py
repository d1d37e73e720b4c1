"""What the README shows is true."""

import json
import re
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import write_model

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_python_runs_and_gives_the_shapes_it_states(code: str) -> None:
    names: dict[str, object] = {}
    exec(code, names)
    grid, turned = names["grid"], names["turned"]
    assert isinstance(grid, torch.Tensor)
    assert isinstance(turned, torch.Tensor)
    assert turned.shape == (1, 3, 48, 48)


def test_the_answer_it_shows_has_the_fields_of_a_real_one(tmp_path: Path) -> None:
    (shown,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", README, re.DOTALL))
    write_model(tmp_path / "models" / "tiny" / "1.safetensors")
    with TestClient(create_app(Settings(home=tmp_path))) as client:
        picture = (ROOT / "docs" / "digit.png").read_bytes()
        real = client.post("/v1/predict", content=picture, headers={"Content-Type": "image/png"}).json()
    assert list(shown) == list(real)
    assert list(shown["predictions"][0]) == list(real["predictions"][0])
    assert list(shown["predictions"][0]["theta"]) == list(real["predictions"][0]["theta"])


def test_every_file_it_names_exists() -> None:
    table = README.partition("## Files")[2].partition("## Coordinates")[0]
    folder = ROOT
    for line in table.splitlines():
        for name in re.findall(r"`( *)([\w/.]+)`", line.partition("|")[2].partition("|")[0]):
            indent, path = name
            if path.endswith("/") and not indent and line.startswith("| `") and not line.startswith("| `  "):
                folder = ROOT / path
            place = folder / path if line.startswith("| `  ") else ROOT / path
            assert place.exists() or (ROOT / "scripts" / path).exists(), path
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link
