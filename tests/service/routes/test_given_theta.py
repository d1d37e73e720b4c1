"""A theta in the query takes the place of the network's own."""

import base64
import io
import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from stn import TRANSFORMS, load_model
from stn.identities import identity_of
from tests.service.conftest import CLASSES, encode, picture, write_model
from tests.service.routes.test_predict import entry, pixels_of, post

TURNED = (0.0, -0.5, 0.25, 0.5, 0.0, -0.125)
QUERY = "?theta=" + ",".join(map(str, TURNED))


def expected(home: Path, theta: tuple[float, ...], name: str = "tiny/1"):
    """The probabilities and the rest that the library gives."""
    model = load_model(home / f"models/{name}.safetensors")
    images = torch.from_numpy(np.array(picture())).float()[None, None] / 255
    with torch.inference_mode():
        logits, transformed = model(images, torch.tensor([theta]))
    return logits.softmax(-1)[0], transformed


def test_the_answer_is_what_this_theta_samples(client: TestClient, home: Path) -> None:
    got = entry(client, encode(picture()), f"{QUERY}&include=theta,outline,transformed,grid")
    probabilities, transformed = expected(home, TURNED)
    assert got["theta"]["given"] is True
    assert tuple(got["theta"]["parameters"].values()) == TURNED
    assert sum(got["theta"]["matrix"], []) == list(TURNED)
    assert list(got["probabilities"].values()) == pytest.approx(probabilities.tolist(), abs=1e-6)
    torch.testing.assert_close(pixels_of(got["transformed"]), transformed.images[0, 0], atol=0.5 / 255 + 1e-6, rtol=0)
    # A quarter turn of half the size: output x runs along input y. Pictures are 16 wide and 20 high.
    assert got["outline"][:2] == [[14.0, 3.75], [14.0, 13.75]]
    assert np.array(got["grid"]).shape == (12, 14, 2)


def test_without_it_nothing_is_said_to_be_given(client: TestClient) -> None:
    assert "given" not in entry(client, encode(picture()))["theta"]


def test_every_kind_of_body_and_answer_takes_it(client: TestClient, home: Path) -> None:
    data = encode(picture())
    single = entry(client, data, QUERY)
    form = client.post(f"/v1/predict{QUERY}", files=[("image", ("a", body)) for body in (data, b"nonsense", data)])
    for found in (form.json()["predictions"][0], form.json()["predictions"][2]):
        assert found["theta"] == single["theta"]
        assert found["probabilities"] == pytest.approx(single["probabilities"], abs=1e-6)
    text = base64.b64encode(data).decode()
    assert client.post(f"/v1/predict{QUERY}", json={"images": [text]}).json()["predictions"] == [single]
    image = post(client, data, QUERY, Accept="image/png")
    assert tuple(json.loads(image.headers["x-stn-theta"]).values()) == TURNED
    assert image.content == base64.b64decode(single["transformed"].partition(",")[2])
    arrays = np.load(io.BytesIO(post(client, data, QUERY, Accept="application/x-npz").content))
    np.testing.assert_array_equal(arrays["theta"], [TURNED])
    np.testing.assert_allclose(arrays["transformed"], expected(home, TURNED)[1].images, atol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_identity_switches_the_transformer_off(home: Path, transform: str) -> None:
    write_model(home / "models/tiny/2.safetensors", transform=transform)
    with TestClient(create_app(Settings(home=home))) as client:
        got = entry(client, encode(picture()), "?theta=identity")
    theta = tuple(identity_of(load_model_config(home)).values())
    assert tuple(got["theta"]["parameters"].values()) == pytest.approx(theta)
    assert got["outline"][0] == pytest.approx([0, 0], abs=1e-5)
    probabilities, _ = expected(home, theta, "tiny/2")
    assert list(got["probabilities"].values()) == pytest.approx(probabilities.tolist(), abs=1e-6)


def load_model_config(home: Path):
    from stn import read_model_info

    return read_model_info(home / "models/tiny/2.safetensors").config


@pytest.mark.parametrize(
    ("theta", "got"),
    [
        ("1,0,0,0,1", "5 of them"),
        ("1,0,0,0,1,0,0", "7 of them"),
        ("", "''"),
        ("1,0,nan,0,1,0", "'nan'"),
        ("1,0,0,inf,1,0", "'inf'"),
        ("1,0,0,0,1,1e39", "'1e39'"),
        ("1,0,0,0,1,-1000001", "'-1000001'"),
        ("1,0,0,0,1,1_0", "'1_0'"),
        ("Identity", "'Identity'"),
        ("1,0,0,0,1,\u0661", "'\\u0661'"),
    ],
)
def test_what_is_no_theta_of_the_model_is_refused_by_count_and_names(client: TestClient, theta: str, got: str) -> None:
    answer = post(client, encode(picture()), f"?theta={quote(theta)}")
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    if "\\u" not in got:
        assert detail.endswith(f"got {got}")
    assert "`identity` or 6 numbers (xx, xy, x0, yx, yy, y0)" in detail


def test_a_model_without_a_transformer_takes_none(home: Path) -> None:
    write_model(home / "models/plain/1.safetensors", transform="none")
    with TestClient(create_app(Settings(home=home))) as client:
        answer = post(client, encode(picture()), "?model=plain&theta=identity")
        assert answer.status_code == 422
        assert "which has no transformer" in answer.json()["detail"]


def test_the_largest_that_is_taken_gives_numbers(client: TestClient) -> None:
    got = entry(client, encode(picture()), "?theta=1e6,1e6,1e6,1e6,1e6,1e6&include=theta,outline,grid")
    assert np.isfinite(np.array(got["grid"], float)).all()
    assert sorted(got["probabilities"]) == sorted(CLASSES)


def test_the_localization_net_is_not_asked_and_shows_nothing(client: TestClient) -> None:
    data = encode(picture())
    own = [layer["layer"] for layer in entry(client, data, "?include=activations")["activations"]]
    given = [layer["layer"] for layer in entry(client, data, f"{QUERY}&include=activations")["activations"]]
    assert given == [name for name in own if not name.startswith("transformer.")] != own
