from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import encode, picture
from tests.service.predicting.test_pieces import MADE

BLACK = encode(Image.new("L", (400, 250)))  # 100,000 pixels in some hundred bytes


def form(*pictures: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", (f"{number}.png", data)) for number, data in enumerate(pictures)]


def test_the_pictures_of_a_request_have_a_bound_together(home: Path) -> None:
    with TestClient(create_app(Settings(home=home, max_request_pixels=250_000))) as client:
        assert client.post("/v1/predict", files=form(BLACK, BLACK)).status_code == 200
        response = client.post("/v1/predict", files=form(BLACK, BLACK, BLACK))
        assert response.status_code == 413
        assert response.json()["detail"] == "the images must have at most 250,000 pixels together, got 300,000"


@pytest.mark.parametrize("kind", MADE)
def test_a_picture_that_is_made_to_take_long_fails_alone(client: TestClient, kind: str) -> None:
    bad, good = client.post("/v1/predict", files=form(MADE[kind](), encode(picture()))).json()["predictions"]
    assert bad["problem"]["status"] == 422
    assert "far more pieces" in bad["problem"]["detail"]
    assert good["width"] == 16
