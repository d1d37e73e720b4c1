"""`POST /v1/align`: one picture laid on another, and what cannot be."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from service.client import Client
from service.models.folder import SHIPPED_ALIGNER, register
from service.settings import Settings
from tests.service.aligners import photo, png_of, write_aligner
from tests.service.conftest import write_model
from tests.service.serving import serving


@pytest.fixture(scope="module")
def url(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    write_aligner(home / "models" / "lay" / "1.safetensors")
    write_model(home / "models" / "tiny" / "1.safetensors")
    register(home / "models", "align", SHIPPED_ALIGNER)
    with serving(Settings(home=home)) as address:
        yield f"http://{address}"


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, timeout=60) as client:
        yield client


PHOTO, THIN = png_of(photo()), png_of(photo(7, 20))
FLAT, BLACK = png_of(np.full((30, 30), 90, np.uint8)), png_of(np.zeros((30, 30, 3), np.uint8))
EQUAL = png_of(np.uint8(np.where(np.indices((40, 40)).sum(0)[..., None] // 5 % 2, [150, 0, 0], [0, 150, 0])))
_DARK = np.zeros((1000, 1000), np.uint8)
_DARK[500:502, 500:502] = 255
SPECK = png_of(_DARK)


def align(api: httpx2.Client, moving: bytes = PHOTO, fixed: bytes = PHOTO, **query: object) -> httpx2.Response:
    accept = str(query.pop("accept", "application/json"))
    files = {"moving": ("a", moving), "fixed": ("b", fixed)}
    return api.post("/v1/align", files=files, params=query, headers={"Accept": accept})


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_a_picture_lies_on_itself_in_every_kind_of_answer(api: httpx2.Client) -> None:
    answer = align(api, include="warped,overlay,grid")
    found = answer.json()
    assert answer.status_code == 200, answer.text
    assert {"decode", "queue", "infer"} <= {
        part.partition(";")[0] for part in answer.headers["server-timing"].split(", ")
    }
    assert (found["model"], found["version"], found["theta"]["transform"]) == ("lay", 1, "affine")
    assert (found["width"], found["height"], found["notes"], found["refined"]) == (96, 96, [], False)
    corners = np.array([[0, 0], [96, 0], [96, 96], [0, 96]])
    assert np.abs(np.array(found["outline"]) - corners).max() < 0.1
    assert np.abs(np.array(found["placed"]) - corners).max() < 0.1
    y, x = np.mgrid[:96, :96] + 0.5
    assert np.abs(np.array(found["grid"]) - np.stack([x, y], axis=-1)).max() < 0.1
    assert np.abs(pixels(found["warped"]).astype(int) - photo()).mean() < 2
    assert pixels(found["overlay"]).shape == (96, 96, 3)
    assert 0 <= found["confidence"] <= 1
    forth, back = (np.array([*found[name]["matrix"], [0, 0, 1]]) for name in ("theta", "inverse"))
    assert np.abs(forth @ back - np.eye(3)).max() < 1e-5
    alone = align(api, accept="image/png")
    assert (alone.headers["content-type"], alone.headers["x-stn-model"]) == ("image/png", "lay/1")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(alone.content))), pixels(found["warped"]))
    arrays = np.load(io.BytesIO(align(api, accept="application/x-npz").content))
    assert (arrays["theta"].shape, arrays["warped"].shape, arrays["grid"].shape) == ((6,), (1, 96, 96), (96, 96, 2))
    text = base64.b64encode(PHOTO).decode()
    posted = api.post("/v1/align", json={"moving": text, "fixed": text}).json()
    assert posted["theta"] == found["theta"]


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def post_arrays(api: httpx2.Client, body: bytes) -> httpx2.Response:
    return api.post("/v1/align", content=body, headers={"Content-Type": "application/x-npz"})


@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64", "fortran"])
def test_arrays_are_laid_as_the_pictures_of_the_same_pixels(api: httpx2.Client, kind: str) -> None:
    grey, colour = photo(60, 80), photo(60, 80, seed=2, colour=True)
    expected = align(api, png_of(grey), png_of(colour)).json()
    moving, fixed = np.asarray(grey), np.asarray(colour)
    if kind.startswith("float"):
        moving, fixed = ((values / 255).astype(kind) for values in (moving, fixed))
    elif kind == "fortran":
        moving = np.asfortranarray(moving)
    for shape in (fixed, np.moveaxis(fixed, -1, 0)):
        found = post_arrays(api, npz(moving=moving, fixed=shape)).json()
        assert np.allclose(found["outline"], expected["outline"], atol=0.01)
        assert found["notes"] == expected["notes"] and found["warped"] == expected["warped"]


GREY = np.asarray(photo())


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body must be an .npz file as numpy.savez writes it"),
        (npz(moving=GREY, fixed=GREY)[:-40], 400, "the body must be an .npz file"),
        (npz(moving=GREY), 422, "the .npz file must have the arrays moving and fixed, got moving.npy"),
        (npz(moving=GREY, fixed=GREY.astype(int)), 422, "fixed must be uint8, or floats in [0, 1], got int64"),
        (npz(moving=GREY, fixed=GREY / 100), 422, "fixed must have floats in [0, 1]"),
        (npz(moving=np.full((9, 9), np.nan), fixed=GREY), 422, "moving must have floats in [0, 1]"),
        (npz(moving=GREY[None, None], fixed=GREY), 422, "moving must have shape (H, W), (H, W, C) or (C, H, W)"),
        (npz(moving=GREY[:7], fixed=GREY), 422, "moving must have sides of at least 8 pixels, got 96 x 7"),
        (npz(moving=GREY, fixed=np.array([object()])), 422, "fixed must be uint8, or floats in [0, 1], got object"),
        (
            npz(moving=GREY, fixed=np.zeros((12_000, 12_000), np.uint8)),
            413,
            "fixed must have at most 128,000,000 bytes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_arrays_that_are_no_pictures_are_refused(api: httpx2.Client, body: bytes, status: int, words: str) -> None:
    answer = post_arrays(api, body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert words in answer.json()["detail"]


def test_an_array_that_says_more_than_it_holds_takes_no_memory(api: httpx2.Client) -> None:
    body = io.BytesIO(npz(moving=GREY, fixed=GREY))
    with zipfile.ZipFile(body) as archive:
        data = archive.read("fixed.npy").replace(b"(96, 96)", b"(960, 9)")
    with zipfile.ZipFile(body, "w") as archive:
        for name in ("moving", "fixed"):
            archive.writestr(f"{name}.npy", data)
    answer = post_arrays(api, body.getvalue())
    assert answer.status_code == 400 and "moving has more values than it says" in answer.json()["detail"]


def test_pictures_of_other_size_and_colour_are_brought_together(api: httpx2.Client) -> None:
    found = align(api, png_of(photo(120, 160, colour=True)), png_of(photo(60, 80))).json()
    assert found["notes"] == [
        "moving was stretched from 160 x 120 to 80 x 60 (width x height)",
        "moving was turned grey to be compared",
    ]
    assert (pixels(found["warped"]).shape, found["width"], found["height"]) == ((60, 80, 3), 80, 60)
    assert np.abs(np.array(found["outline"]) - [[0, 0], [160, 0], [160, 120], [0, 120]]).max() < 2


@pytest.mark.parametrize("seconds", [0, 2])
def test_the_model_of_the_package_finds_a_movement_and_knows_when_there_is_none(
    api: httpx2.Client, seconds: float
) -> None:
    scene = photo(140, 140, seed=3)
    moving, fixed = png_of(scene[20:120, 24:124]), png_of(scene[12:112, 20:120])
    answer = align(api, moving, fixed, refine=seconds, model="align")
    found = answer.json()
    moved = np.array([[0, 0], [100, 0], [100, 100], [0, 100]]) - [4, 8]
    assert np.abs(np.array(found["outline"]) - moved).max() < 2
    assert found["confidence"] > 0.5
    assert answer.elapsed.total_seconds() < 15
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    assert align(api, png_of(noise), fixed, refine=seconds, model="align").json()["confidence"] < 0.5


def test_pairs_of_every_size_that_come_together_are_answered_as_alone(api: httpx2.Client) -> None:
    pairs = [(png_of(photo(40 + 8 * seed, 64, seed)),) * 2 for seed in range(4)] * 2
    alone = [align(api, *pair).json()["outline"] for pair in pairs[:4]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda pair: align(api, *pair).json()["outline"], pairs))
    for one, other in zip(alone * 2, together, strict=True):
        assert np.abs(np.array(one) - other).max() < 0.01


@pytest.mark.parametrize(
    ("moving", "fixed", "query", "status", "words"),
    [
        (FLAT, PHOTO, {}, 422, "moving must show something: it is flat"),
        (PHOTO, BLACK, {}, 422, "fixed must show something: it is flat"),
        (EQUAL, PHOTO, {}, 422, "moving must show differences in brightness"),
        (SPECK, PHOTO, {}, 422, "moving must show something at the 96 x 96 (width x height) at which it is looked at"),
        (PHOTO, THIN, {}, 422, "fixed must have sides of at least 8 pixels, got 20 x 7"),
        (b"x", PHOTO, {}, 415, "moving: the image must be one of PNG"),
        (PHOTO, b"", {}, 400, "fixed: the image is empty"),
        (PHOTO, PHOTO, {"refine": 99}, 422, "refine: Input should be less than or equal to 20"),
        (PHOTO, PHOTO, {"include": "grit"}, 422, "include: must be among warped, overlay, grid, got 'grit'"),
        (PHOTO, PHOTO, {"model": "nope"}, 404, "model must be one of align, lay, tiny, got 'nope'"),
        (PHOTO, PHOTO, {"model": "tiny"}, 409, "it lays no picture on another"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_laid_is_refused_with_the_reason(
    api: httpx2.Client, moving: bytes, fixed: bytes, query: dict[str, object], status: int, words: str
) -> None:
    answer = align(api, moving, fixed, **query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert words in answer.json()["detail"]


def test_an_aligner_is_known_as_one_and_names_no_picture(api: httpx2.Client, url: str) -> None:
    known = api.get("/v1/models").json()
    assert known["default_model"] == "tiny"
    versions = {model["name"]: model["versions"][0] for model in known["models"]}
    lay = versions["lay"]
    assert (lay["task"], lay["classifier"], lay["class_names"], lay["transform"]) == ("align", None, [], "affine")
    assert lay["parameter_names"] == ["xx", "xy", "x0", "yx", "yy", "y0"]
    assert versions["tiny"]["task"] == "classify"
    for path in ("/v1/predict?model=lay", "/v1/predict?model=lay&top_k=1"):
        answer = api.post(path, content=PHOTO, headers={"Content-Type": "image/png"})
        assert (answer.status_code, "it names no classes" in answer.json()["detail"]) == (409, True)
    measured = api.post("/v1/models/lay/invariance", json={})
    assert (measured.status_code, "it names no classes" in measured.json()["detail"]) == (409, True)
    _infers(api)
    form = {"image": ("a", PHOTO)}
    assert "files moving and fixed, got 'image'" in api.post("/v1/align", files=form).json()["detail"]
    assert "must have a file fixed" in api.post("/v1/align", files={"moving": ("a", PHOTO)}).json()["detail"]
    with Client(url) as client:
        found = client.align(photo(), PHOTO, refine=0.5)
        assert (found.model, found.theta.parameters.keys() == set(lay["parameter_names"])) == ("lay", True)
        assert found.warped.size == (96, 96)


def _infers(api: httpx2.Client) -> None:
    """The same by the Open Inference Protocol."""
    tensors = [tensor["name"] for tensor in api.get("/v2/models/lay").json()["inputs"]]
    assert tensors == ["moving", "fixed"]
    values = np.stack([photo(48, 48, seed)[None] for seed in range(2)]) / 255
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [2, 1, 48, 48], "data": values.ravel().tolist()} for name in tensors
    ]
    answer = api.post("/v2/models/lay/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    theta, confidence = answer.json()["outputs"]
    assert (theta["name"], theta["shape"], confidence["shape"]) == ("theta", [2, 6], [2])
    assert np.abs(np.array(theta["data"]).reshape(2, 6) - [1, 0, 0, 0, 1, 0]).max() < 0.01
    _infers_bytes(api, inputs, theta["data"])
    refused = api.post("/v2/models/lay/infer", json={"inputs": inputs[:1]})
    assert (refused.status_code, 'the tensors moving and fixed, got moving"' in refused.text) == (400, True)
    refused = api.post("/v2/models/lay/infer", json={"inputs": [{**inputs[0], "name": "input"}]})
    assert (refused.status_code, "got input: this model lays one picture on another" in refused.text) == (400, True)
    inputs[0]["data"] = [0.5] * values.size
    refused = api.post("/v2/models/lay/infer", json={"inputs": inputs})
    assert (refused.status_code, "moving must show something" in refused.text) == (400, True)


def _infers_bytes(api: httpx2.Client, inputs: list[dict[str, Any]], theta: list[float]) -> None:
    """Tensors that follow the JSON as bytes, either or both, and an answer of bytes; too few are refused."""
    raw = np.array(inputs[0]["data"], "<f4").tobytes()
    binary = [
        {"name": one["name"], "datatype": "FP32", "shape": one["shape"], "parameters": {"binary_data_size": len(raw)}}
        for one in inputs
    ]
    wanted = [{"name": "confidence"}, {"name": "theta", "parameters": {"binary_data": True}}]
    for given, count in ((binary, 2), (binary[::-1], 2), ([inputs[0], binary[1]], 1), ([binary[0], inputs[1]], 1)):
        text = json.dumps({"inputs": given, "outputs": wanted}).encode()
        headers = {"Inference-Header-Content-Length": str(len(text))}
        answer = api.post("/v2/models/lay/infer", content=text + count * raw, headers=headers)
        assert answer.status_code == 200, answer.text
        length = int(answer.headers["inference-header-content-length"])
        described = json.loads(answer.content[:length])["outputs"]
        assert [one["name"] for one in described] == ["confidence", "theta"]
        assert np.abs(np.frombuffer(answer.content[length:], "<f4") - theta).max() < 1e-5
        short = api.post("/v2/models/lay/infer", content=text + (count * raw)[:-4], headers=headers)
        long = api.post("/v2/models/lay/infer", content=text + count * raw + bytes(4), headers=headers)
        assert (short.status_code, long.status_code) == (400, 400), (short.text, long.text)


def test_without_an_aligner_there_is_none_to_ask(client: object, home: Path) -> None:
    answer = client.post("/v1/align", files={"moving": ("a", PHOTO), "fixed": ("b", PHOTO)})  # type: ignore[attr-defined]
    assert (answer.status_code, "there is no model that aligns" in answer.json()["detail"]) == (404, True)
