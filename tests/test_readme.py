"""What the README shows is true."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import write_model
from tests.service.running import serving

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


@pytest.mark.slow
def test_the_tour_from_own_pictures_to_a_prediction_runs_as_it_is_written(tmp_path: Path) -> None:
    (tour,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    photos = tmp_path / "PHOTOS"
    for kind in ("circle", "square"):
        (photos / kind).mkdir(parents=True)
        for index in range(30):
            image = Image.new("L", (40, 40))
            place = (6 + index % 7, 5 + index % 5, 24 + index % 11, 25 + index % 9)
            draw = ImageDraw.Draw(image)
            (draw.ellipse if kind == "circle" else draw.rectangle)(place, fill=200 + index)
            image.save(photos / kind / f"{index}.png")
    shutil.copy(photos / "square" / "3.png", tmp_path / "PHOTO")
    patient = {"deadline_seconds": "300"}  # the model is prepared while other tests have the processors
    with serving(tmp_path / "home", log=tmp_path / "log", verb="up", **patient) as service:
        service.wait_until_ready()
        script = tour.replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
        script = script.replace("http://127.0.0.1:8000", service.url)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + service.log.read_text()
        answer = json.loads(done.stdout.splitlines()[-1])
        assert service.end() == 0
    assert (answer.get("model"), answer.get("version")) == ("shapes", 1), answer
    assert answer["predictions"][0]["class"] in ("circle", "square")
    assert "circle" in done.stdout
    assert "succeeded" in done.stderr
    assert (tmp_path / "shapes.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")


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
