"""The model that comes with the package, on digits that nobody drew for MNIST."""

import math
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

from service.app import create_app
from service.models.folder import SHIPPED, register_shipped
from service.settings import Settings
from stn import read_model_info
from tests.service.conftest import encode

Point = tuple[float, float]


def arc(x: float, y: float, width: float, height: float, start: float, end: float) -> list[Point]:
    """Points of an ellipse around (x, y), angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * step / 24) for step in range(25)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


STROKES: dict[str, list[list[Point]]] = {
    "0": [arc(0, 0, 0.55, 1, 0, 360)],
    "1": [[(0, -1), (0, 1)]],
    "2": [[*arc(0, -0.5, 0.5, 0.5, -170, 40), (-0.55, 1), (0.6, 1)]],
    "3": [[*arc(-0.05, -0.5, 0.5, 0.5, -150, 90), *arc(-0.05, 0.5, 0.6, 0.5, -90, 150)]],
    "4": [[(-0.4, -1), (-0.5, 0.1), (0.6, 0.1)], [(0.35, -0.7), (0.25, 1)]],
    "5": [[(0.5, -1), (-0.4, -1), (-0.45, -0.2), *arc(0, 0.35, 0.5, 0.6, -120, 140)]],
    "6": [[(0.3, -1), *arc(0.5, 0.3, 1, 1.1, -140, -180), *arc(0, 0.5, 0.5, 0.5, -180, 180)]],
    "7": [[(-0.5, -1), (0.5, -1), (-0.1, 1)]],
    "8": [[*arc(0, -0.5, 0.4, 0.5, 90, 450), *arc(0, 0.5, 0.5, 0.5, -90, 270)]],
    "9": [[*arc(0, -0.45, 0.45, 0.5, 0, 360), (0.4, 0.2), (0.3, 1)]],
}
"""Of a pen, in a box from -1 to 1 in height."""


def draw(digit: str, size: float, angle: float, slant: float, centre: Point) -> Image.Image:
    """White on a black square of 280 pixels, the height of the digit and its centre as shares of the side."""
    canvas = Image.new("L", (280, 280))
    pen = ImageDraw.Draw(canvas)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    for stroke in STROKES[digit]:
        placed = []
        for x, y in stroke:
            x, y = (x - slant * y) * size / 2, y * size / 2
            placed.append((280 * (centre[0] + cos * x + sin * y), 280 * (centre[1] - sin * x + cos * y)))
        pen.line(placed, fill=255, width=round(280 * size * 0.1), joint="curve")
    return canvas


PLACES = {
    "large": (0.8, 0, 0, (0.5, 0.5)),
    "small, off-centre": (0.42, 0, 0, (0.3, 0.66)),
    "turned": (0.55, 25, 0, (0.5, 0.5)),
    "turned back": (0.55, -25, 0, (0.6, 0.4)),
    "slanted, off-centre": (0.5, 0, 0.4, (0.66, 0.36)),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_drawing_is_recognised_wherever_and_however_it_stands(place: str, tmp_path: Path) -> None:
    size, angle, slant, centre = PLACES[place]
    register_shipped(tmp_path / "models")
    with TestClient(create_app(Settings(home=tmp_path))) as client:
        named = {}
        for digit in STROKES:
            picture = encode(draw(digit, size, angle, slant, centre))
            answer = client.post("/v1/predict", content=picture, headers={"Content-Type": "image/png"}).json()
            named[digit] = answer["predictions"][0]["class"]
    assert named == {digit: digit for digit in STROKES}


def test_it_says_where_it_comes_from_and_how_good_it_is() -> None:
    info = read_model_info(SHIPPED)
    assert SHIPPED.stat().st_size <= 1_700_000
    assert re.fullmatch(r"[0-9a-f]{12}\+?", info.provenance["commit"])
    assert info.provenance["command"].startswith("python -m training.experiments.shipped --seed ")
    assert (info.provenance["data"], info.provenance["seed"].isdecimal()) == ("mnist", True)
    assert info.scores["RTS/accuracy"] >= 0.994
    assert info.class_names == tuple("0123456789")


def test_it_is_registered_once_and_beside_no_other(tmp_path: Path) -> None:
    for _ in range(2):
        register_shipped(tmp_path)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors")) == [
        Path("align/1.safetensors"),
        Path("handwriting/1.safetensors"),
    ]
    other = tmp_path / "other"
    (other / "mine").mkdir(parents=True)
    (other / "mine" / "1.safetensors").touch()
    register_shipped(other)
    assert not (other / "handwriting").exists()


def test_replicas_that_start_at_once_register_what_is_shipped_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.models.folder.find_model_files", lambda _: {})  # neither sees what the other does
    register_shipped(tmp_path)
    register_shipped(tmp_path)
    assert sorted(file.stem for file in tmp_path.glob("*/*.safetensors")) == ["1", "1"]
