import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.responses import Response
from starlette.testclient import TestClient

from service.app import create_app
from service.predicting.activations import describe_layer
from service.preparing.plan import Layer
from service.settings import Settings
from stn import TRANSFORMS, load_model, sampling_grid, to_pixels
from tests.service.conftest import CLASSES, encode, picture, write_model

PNG = {"Content-Type": "image/png"}


def form_with(headers: bytes) -> dict[str, object]:
    """A request for the picture in a form, with these beside the header that a field has."""
    field = b'Content-Disposition: form-data; name="image"; filename="a"\r\n' + headers
    body = b"--b\r\n" + field + b"\r\n" + encode(picture()) + b"\r\n--b--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


def post(client: TestClient, data: bytes, query: str = "", **headers: str):
    return client.post(f"/v1/predict{query}", content=data, headers={**PNG, **headers})


@contextmanager
def held_up(client: TestClient) -> Iterator[None]:
    """The default model's network waits until the end of the block."""
    network, cue = client.app.state.models.find().predictor._network, threading.Event()
    run, started = dict(network._runs), threading.Event()
    network._runs = {
        name: lambda images, one=one: (started.set(), cue.wait(10), one(images))[-1] for name, one in run.items()
    }
    try:
        yield
    finally:
        cue.set()
        network._runs = run


def in_threads(request: Callable[[], Response], count: int) -> list[Future[Response]]:
    """The answers to come of this many requests, of which at least one is there."""
    pool = ThreadPoolExecutor(count)
    futures = [pool.submit(request) for _ in range(count)]
    assert wait(futures, 10, FIRST_COMPLETED).done
    pool.shutdown(wait=False)
    return futures


def entry(client: TestClient, data: bytes, query: str = "") -> dict:
    answer = post(client, data, query)
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["predictions"]
    return prediction


def pixels_of(uri: str) -> torch.Tensor:
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))) as image:
        return torch.from_numpy(np.array(image)).float() / 255


def test_the_answer_is_the_librarys_own_on_the_same_pixels(client: TestClient, home: Path) -> None:
    image = picture()
    got = entry(client, encode(image))
    with torch.inference_mode():
        logits, (images, theta, _) = load_model(home / "models/tiny/1.safetensors")(
            torch.from_numpy(np.array(image)).float()[None, None] / 255
        )
    assert list(got["probabilities"]) == list(CLASSES)
    assert list(got["probabilities"].values()) == pytest.approx(logits.softmax(-1)[0].tolist(), abs=1e-6)
    assert got["class"] == CLASSES[int(logits.argmax())]
    assert got["probability"] == max(got["probabilities"].values())
    assert list(got["theta"]["parameters"].values()) == pytest.approx(theta[0].tolist(), abs=1e-6)
    assert sum(got["theta"]["matrix"], []) == pytest.approx(theta[0].tolist(), abs=1e-6)
    # The PNG has 8 bits.
    torch.testing.assert_close(pixels_of(got["transformed"]), images[0, 0], atol=0.5 / 255 + 1e-6, rtol=0)


def test_the_outline_is_the_sampled_region_in_pixels_of_the_picture(client: TestClient) -> None:
    got = entry(client, encode(picture(160, 200)))
    theta = torch.tensor([list(got["theta"]["parameters"].values())])
    # A 2x2 grid has its points halfway to the corners of the sampled region.
    half = to_pixels(sampling_grid("affine", theta, (2, 2)), (200, 160)).flatten(0, 2)[[0, 1, 3, 2]]
    centre = half.mean(0)
    assert (got["width"], got["height"]) == (160, 200)
    torch.testing.assert_close(torch.tensor(got["outline"]), centre + 2 * (half - centre), atol=1e-3, rtol=0)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_theta_is_named_and_has_its_matrix_for_every_transform(home: Path, transform: str) -> None:
    write_model(home / "models/tiny/2.safetensors", transform=transform)
    with TestClient(create_app(Settings(home=home))) as client:
        got = entry(client, encode(picture()))
    theta, rows = got["theta"], {"projective": 3, "thin_plate_spline": 0}.get(transform, 2)
    assert theta["transform"] == transform
    assert tuple(theta["parameters"]) == TRANSFORMS[transform]().parameter_names
    assert np.array(theta["matrix"] or []).shape == ((rows, 3) if rows else (0,))
    assert len(got["outline"]) == 4 if rows else len(got["outline"]) > 4


def test_a_model_without_a_transformer_has_no_theta_and_shows_its_input(home: Path) -> None:
    write_model(home / "models/plain/1.safetensors", transform="none")
    with TestClient(create_app(Settings(home=home))) as client:
        image = picture()
        got = entry(client, encode(image), "?model=plain")
    assert got["theta"] is None
    assert got["outline"] == [[0, 0], [16, 0], [16, 20], [0, 20]]
    assert torch.equal(pixels_of(got["transformed"]), torch.from_numpy(np.array(image)).float() / 255)


def test_raw_form_and_json_bodies_give_the_same_answer(client: TestClient) -> None:
    data = encode(picture())
    raw = post(client, data).json()
    form = client.post("/v1/predict", files={"image": ("a.png", data, "image/png")})
    text = base64.b64encode(data).decode()
    assert form.json() == raw
    assert client.post("/v1/predict", json={"images": [text]}).json() == raw
    assert client.post("/v1/predict", json={"images": [f"data:image/png;base64,{text}"]}).json() == raw


def test_several_files_are_answered_in_order(client: TestClient) -> None:
    bodies = [encode(picture(seed=seed)) for seed in range(5)]
    form = client.post("/v1/predict", files=[("image", ("a.png", data, "image/png")) for data in bodies])
    single = [entry(client, data) for data in bodies]
    got = form.json()["predictions"]
    assert len(got) == 5
    for one, other in zip(got, single, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_of_several_images_a_bad_one_fails_alone(client: TestClient) -> None:
    bodies = [encode(picture()), b"nonsense", encode(picture())]
    got = client.post("/v1/predict", files=[("image", ("a", data)) for data in bodies]).json()["predictions"]
    assert got[0]["class"] == got[2]["class"]
    assert got[1]["problem"]["status"] == 415
    assert "none of them" in got[1]["problem"]["detail"]


def test_of_several_images_in_json_a_bad_one_fails_alone(client: TestClient) -> None:
    text = base64.b64encode(encode(picture())).decode()
    got = client.post("/v1/predict", json={"images": [text, "!!!", text]}).json()["predictions"]
    assert got[0]["class"] == got[2]["class"]
    assert (got[1]["problem"]["status"], got[1]["problem"]["detail"][:24]) == (422, "images.1 must be base64 ")


def test_a_request_waits_for_a_model_to_be_loaded_no_longer_than_it_says(home: Path) -> None:
    with TestClient(create_app(Settings(home=home, max_models=1, default_model="tiny"))) as client:
        write_model(home / "models/other/1.safetensors", seed=7)  # which takes seconds to prepare
        late = post(client, encode(picture()), "?model=other", **{"X-Request-Timeout": "0.8"})
        assert late.status_code == 504
        assert post(client, encode(picture())).status_code == 200


def test_a_field_of_a_form_may_have_headers_of_its_own(client: TestClient) -> None:
    for more in (b"", b"Content-Type: image/png\r\n", b"A: a\r\n" * 7, b"A: " + b"a" * 4200 + b"\r\n"):
        assert client.post("/v1/predict", **form_with(more)).status_code == 200


def test_accept_png_answers_the_transformed_image_with_class_and_theta_in_headers(client: TestClient) -> None:
    data = encode(picture())
    answer, expected = post(client, data, Accept="image/png"), entry(client, data)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == base64.b64decode(expected["transformed"].partition(",")[2])
    assert json.loads(answer.headers["x-stn-class"]) == expected["class"]
    assert json.loads(answer.headers["x-stn-theta"]) == pytest.approx(expected["theta"]["parameters"], abs=1e-6)
    assert answer.headers["x-stn-model"] == "tiny/1"


def test_the_newest_version_answers_unless_one_is_named(home: Path) -> None:
    write_model(home / "models/tiny/2.safetensors", channels=3)
    with TestClient(create_app(Settings(home=home))) as client:
        data = encode(picture())
        assert post(client, data).json()["version"] == 2
        assert post(client, data, "?version=1").json()["version"] == 1
        assert post(client, data, "?model=tiny&version=2").json()["version"] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ({"content": b"", "headers": PNG}, 400, "the image is empty"),
        ({"content": b"hello", "headers": PNG}, 415, "these bytes are none of them"),
        ({"content": encode(picture())[:60], "headers": PNG}, 422, "the image is damaged or incomplete"),
        ({"content": b"x"}, 415, "Content-Type must be image/png, image/jpeg, multipart/form-data or application/json"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "got 'text/plain'"),
        ({"files": {"picture": ("a.png", b"x")}}, 422, "fields must be files named image, got 'picture'"),
        ({"files": {"image": ("a.png", b"")}}, 400, "the image is empty"),
        ({"data": {"image": "text"}, "files": {"image": ("a.png", b"x")}}, 422, "fields must be files named image"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        (form_with(b"A: a\r\n" * 8), 400, "at most 8 headers"),
        (form_with(b"A: " + b"a" * 4222 + b"\r\n"), 400, "at most 4224 bytes"),
        (form_with(b";" * 10_000_000 + b"\r\n"), 400, "at most 8 headers of 4224 bytes"),
        ({"content": b"--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, "no image"),
        ({"json": {"images": []}}, 422, "images: List should have at least 1 item"),
        ({"json": {"image": "x"}}, 422, "images: Field required"),
        ({"json": {"images": [3]}}, 422, "images.0: Input should be a valid string"),
        ({"json": {"images": ["!!!"]}}, 422, "images.0 must be base64"),
        ({"json": {"images": ["é"]}}, 422, "images.0 must be base64"),
        ({"json": {"images": ["aGVsbG8="]}}, 415, "these bytes are none of them"),
        ({"json": {"images": ["aGVsbG8="] * 65}}, 413, "at most 64 images, got 65"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, "the body must be JSON like"),
        ({"files": [("image", (f"{n}.png", b"x")) for n in range(10_000)]}, 413, "at most 64 images"),
    ],
)
def test_a_bad_request_is_a_problem_that_says_what_to_mend_and_the_next_one_works(
    client: TestClient, arguments: dict, status: int, message: str
) -> None:
    answer = client.post("/v1/predict", **arguments)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert message in problem["detail"]
    assert problem["error"] == problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert post(client, encode(picture())).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("?model=nope", 404, "model must be one of tiny, got 'nope'"),
        ("?model=../tiny", 404, "got '../tiny'"),
        ("?version=9", 404, "version must be one of model tiny's (1), got 9"),
        ("?version=0", 422, "query.version: Input should be greater than or equal to 1"),
        ("?version=x", 422, "query.version: Input should be a valid integer"),
    ],
)
def test_an_unknown_model_or_version_is_named_with_those_there_are(
    client: TestClient, query: str, status: int, message: str
) -> None:
    answer = post(client, encode(picture()), query)
    assert answer.status_code == status
    assert message in answer.json()["detail"]


def test_a_png_answer_for_several_images_is_refused(client: TestClient) -> None:
    files = [("image", ("a.png", encode(picture())))] * 2
    answer = client.post("/v1/predict", files=files, headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert "one image at a time, got 2" in answer.json()["detail"]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_long_is_refused_whether_or_not_its_length_is_declared(home: Path, declared: bool) -> None:
    body = b"x" * 5000
    with TestClient(create_app(Settings(home=home, max_body_bytes=4096))) as client:
        answer = client.post("/v1/predict", content=body if declared else iter([body]), headers=PNG)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert "at most 4,096 bytes" in answer.json()["detail"]
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert post(client, encode(picture())).status_code == 200


@pytest.mark.usefixtures("beside_the_loop")
def test_more_images_than_may_wait_are_answered_429_with_the_time_to_wait(home: Path) -> None:
    with TestClient(create_app(Settings(home=home, max_images=4, max_waiting=4, refusal_seconds=0.05))) as client:
        with held_up(client):
            answers = in_threads(lambda: post(client, encode(picture())), 5)
            full = next(answer for answer in answers if answer.done() and answer.result().status_code == 429).result()
        assert full.headers["retry-after"] == "1"
        assert full.json()["detail"].startswith("at most 4 images may wait")
        assert sorted(answer.result().status_code for answer in answers) == [200] * 4 + [429]
        assert post(client, encode(picture())).status_code == 200


@pytest.mark.usefixtures("beside_the_loop")
def test_a_request_past_its_own_deadline_is_answered_504(client: TestClient) -> None:
    with held_up(client):
        late = post(client, encode(picture()), **{"X-Request-Timeout": "0.1"})
    assert late.status_code == 504
    assert "deadline" in late.json()["detail"]
    assert post(client, encode(picture()), **{"X-Request-Timeout": "20"}).status_code == 200


@pytest.mark.parametrize("sent", ["soon", "0", "-1", "nan", "inf"])
def test_a_deadline_that_is_none_is_refused(client: TestClient, sent: str) -> None:
    answer = post(client, encode(picture()), **{"X-Request-Timeout": sent})
    assert answer.status_code == 422
    assert f"X-Request-Timeout must be seconds above 0, got '{sent}'" in answer.json()["detail"]


def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: TestClient) -> None:
    for answer, status in ((client.get("/nope"), 404), (client.get("/v1/predict"), 405)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_clients_own_request_id_is_kept_and_a_silly_one_is_not(client: TestClient) -> None:
    assert client.get("/v2/health/live", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/v2/health/live", headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("application/json;q=0.1, image/png", "image/png"),
        ("application/json;q=0, image/png", "image/png"),
        ("image/png;q=0", "application/json"),
        ("image/png;q=0.5, application/json", "application/json"),
        ("image/png, application/json", "application/json"),
        ("text/html,*/*;q=0.8", "application/json"),
    ],
)
def test_the_answer_is_of_the_kind_that_the_client_prefers(client: TestClient, accept: str, kind: str) -> None:
    assert post(client, encode(picture()), Accept=accept).headers["content-type"] == kind


def test_top_k_answers_the_most_probable_classes_in_their_order(client: TestClient) -> None:
    data = encode(picture())
    every, two = entry(client, data)["probabilities"], entry(client, data, "?top_k=2")["probabilities"]
    assert list(two.items()) == sorted(every.items(), key=lambda item: -item[1])[:2]
    assert entry(client, data, "?top_k=9")["probabilities"] == dict(sorted(every.items(), key=lambda item: -item[1]))


def test_only_what_is_included_is_answered(client: TestClient) -> None:
    data, rest = encode(picture(160, 200)), {"class", "probability", "probabilities", "width", "height"}
    assert set(entry(client, data)) == rest | {"transformed", "theta", "outline"}
    assert set(entry(client, data, "?include=")) == rest
    assert set(entry(client, data, "?include=theta,input,grid,activations")) == rest | {
        *("theta", "input", "grid", "activations")
    }


def test_the_grid_says_where_each_pixel_comes_from(client: TestClient) -> None:
    got = entry(client, encode(picture(160, 200)), "?include=theta,grid")
    theta = torch.tensor([list(got["theta"]["parameters"].values())])
    expected = to_pixels(sampling_grid("affine", theta, (12, 14)), (200, 160))[0]
    torch.testing.assert_close(torch.tensor(got["grid"]), expected, atol=1e-3, rtol=0)


def test_activations_are_every_layers_output_in_order_and_the_input_is_shown(client: TestClient, home: Path) -> None:
    image = picture()
    got = entry(client, encode(image), "?include=activations,input")
    assert torch.equal(pixels_of(got["input"]), torch.from_numpy(np.array(image)).float() / 255)
    by_name = {activation["layer"]: activation for activation in got["activations"]}
    model, seen = load_model(home / "models/tiny/1.safetensors"), {}
    model.trunk[0].register_forward_hook(lambda _m, _i, out: seen.update(trunk=out))
    with torch.inference_mode():
        logits, _ = model(torch.from_numpy(np.array(image)).float()[None, None] / 255)
    first, maps = by_name["trunk.0"], seen["trunk"][0]
    assert first["shape"] == list(maps.shape)
    assert (first["minimum"], first["maximum"]) == pytest.approx((float(maps.min()), float(maps.max())), abs=1e-5)
    assert (first["kind"], first["of"], first["columns"]) == ("convolution", "transformed", 2)
    assert first["sees"] == {"size": [5, 5], "stride": [1, 1], "start": [-2, -2]}
    tiles = pixels_of(first["image"]).unflatten(0, (2, -1)).unflatten(2, (2, -1)).movedim(2, 1).flatten(0, 1)
    for tile, values, (low, high) in zip(tiles, maps, first["ranges"], strict=True):
        assert (low, high) == pytest.approx((float(values.min()), float(values.max())), abs=1e-5)
        torch.testing.assert_close(low + tile * (high - low), values, atol=(high - low) / 255, rtol=0)
    last = got["activations"][-1]
    assert (last["layer"], last["kind"], last["shape"], last["sees"]) == ("classes.0", "dense", [3], None)
    assert last["values"] == pytest.approx(logits[0].tolist(), abs=1e-5)
    assert not {"image", "columns", "ranges"} & set(last)


def test_of_a_wide_dense_layer_the_first_units_are_told() -> None:
    layer = Layer(name="wide", kind="dense", of="input", sees=None)
    values = np.arange(10_000, dtype=np.float32)
    got = describe_layer(layer, values)
    assert (got["shape"], got["maximum"], len(got["values"])) == ([10_000], 9999, 4096)


def test_a_channel_that_is_the_same_everywhere_is_black_on_a_range_of_one_value() -> None:
    values = np.stack([np.full((2, 2), 3.0), np.eye(2)]).astype(np.float32)
    got = describe_layer(Layer(name="maps", kind="pooling", of="input", sees=None), values)
    assert got["ranges"].tolist() == [[3, 3], [0, 1]]
    assert pixels_of(got["image"]).tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]


def test_arrays_are_answered_as_npz_and_a_bad_image_is_named_in_its_place(client: TestClient) -> None:
    data = encode(picture())
    expected = entry(client, data)
    files = [("image", ("a", body)) for body in (data, b"nonsense", data)]
    answer = client.post("/v1/predict?include=theta,transformed", files=files, headers={"Accept": "application/x-npz"})
    assert answer.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert set(arrays) == {
            *("class_names", "model", "problems", "statuses", "probabilities"),
            *("theta", "matrix", "transformed"),
        }
        assert arrays["class_names"].tolist() == list(CLASSES)
        assert arrays["probabilities"][0].tolist() == pytest.approx(list(expected["probabilities"].values()), abs=1e-6)
        assert np.isnan(arrays["theta"][1]).all()
        assert arrays["transformed"].shape == (3, 1, 12, 14)
        assert [bool(text) for text in arrays["problems"]] == [False, True, False]
        assert arrays["statuses"].tolist() == [200, 415, 200]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?include=theta,colour", "query.include: must be among transformed, theta"),
        ("?top_k=0", "query.top_k: Input should be greater than or equal to 1"),
        ("?topk=3", "query.topk: Extra inputs are not permitted"),
        ("?top_k=1&top_k=2", "query: each field must be given once"),
    ],
)
def test_a_misspelt_option_is_named(client: TestClient, query: str, message: str) -> None:
    answer = post(client, encode(picture()), query)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


def test_the_documented_route_gives_the_answers_of_the_hot_path(client: TestClient) -> None:
    data = encode(picture())
    client.app.root_path = "/behind/a/proxy"  # which the hot path does not know
    routed = client.post("/behind/a/proxy/v1/predict?top_k=2", content=data, headers=PNG)
    client.app.root_path = ""
    assert routed.json() == post(client, data, "?top_k=2").json()


def test_the_milliseconds_of_the_stages_stand_in_a_header(client: TestClient) -> None:
    stages = post(client, encode(picture())).headers["server-timing"].split(", ")
    assert [stage.partition(";dur=")[0] for stage in stages] == ["decode", "queue", "batch", "infer", "encode"]
    assert all(float(stage.partition(";dur=")[2]) >= 0 for stage in stages)
