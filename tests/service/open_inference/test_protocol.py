"""The Open Inference Protocol V2 byte by byte; what real clients send is in test_inference_clients."""

import base64
import gzip
import json
import threading
import zlib

import numpy as np
import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import CLASSES, write_model
from tests.service.open_inference.requests import (
    LENGTH,
    NUMBERS,
    PATH,
    PICTURE,
    PIXELS,
    PNG,
    behind,
    label,
    one_array,
    one_picture,
    parts,
    post,
    strings,
)


def test_json_is_answered_with_json(client: TestClient) -> None:
    answer = post(client, one_picture())
    assert answer.headers["content-type"] == "application/json"
    assert LENGTH not in answer.headers
    assert list(answer.json()) == ["model_name", "model_version", "outputs"]
    assert [output["name"] for output in answer.json()["outputs"]] == ["probabilities", "theta", "transformed", "label"]
    assert label(answer) in CLASSES


def test_binary_outputs_stand_behind_the_json_in_order(client: TestClient) -> None:
    request = one_array()
    wanted = {output["name"]: output["data"] for output in post(client, request).json()["outputs"]}
    described, binary = parts(post(client, {**request, "parameters": {"binary_data_output": True}}))
    for output in described["outputs"]:
        size = output["parameters"]["binary_data_size"]
        values, binary = binary[:size], binary[size:]
        if output["name"] == "label":
            assert values == strings(*(text.encode() for text in wanted["label"]))
        else:
            assert np.frombuffer(values, "<f4").tolist() == pytest.approx(wanted[output["name"]], abs=1e-6)
    assert binary == b""


def test_an_output_says_itself_whether_it_is_binary(client: TestClient) -> None:
    request = {
        "inputs": [PICTURE],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "label", "parameters": {"binary_data": False}}, {"name": "theta"}],
    }
    described, binary = parts(post(client, request))
    assert described["outputs"][0]["data"][0] in CLASSES
    assert described["outputs"][1]["parameters"] == {"binary_data_size": 24}
    assert len(binary) == 24


def test_the_kind_of_body_is_told_by_the_length_of_its_json_alone(client: TestClient) -> None:
    request, binary = behind(PICTURE, len(PNG) + 4), strings(PNG)
    kinds = ["application/json", "application/octet-stream", "image/png", "nonsense"]
    answers = [post(client, request, binary)] + [
        post(client, request, binary, **{"Content-Type": kind}) for kind in kinds
    ]
    assert len({label(answer) for answer in answers}) == 1
    assert label(post(client, one_picture(), **{"Content-Type": "application/octet-stream"})) in CLASSES


def test_a_body_without_json_is_one_picture_and_answered_with_bytes(client: TestClient) -> None:
    described, binary = parts(client.post(PATH, content=PNG, headers={LENGTH: "0"}))
    assert all("binary_data_size" in output["parameters"] for output in described["outputs"])
    assert binary.endswith(strings(label(post(client, one_picture())).encode()))
    empty = client.post(PATH, content=b"", headers={LENGTH: "0"})
    assert empty.status_code == 400
    assert empty.json()["error"].startswith("element 0 of the tensor image: the image is empty")


def test_base64_may_be_a_data_uri_or_have_line_breaks(client: TestClient) -> None:
    text = base64.b64encode(PNG).decode()
    for data in (f"data:image/png;base64,{text}", f"{text[:60]}\n{text[60:]}"):
        assert label(post(client, one_picture(data=[data]))) in CLASSES
        assert label(post(client, one_picture(shape=[1, 1], data=[[data]]))) in CLASSES


def test_what_means_nothing_here_is_ignored_and_null_is_as_if_left_out(client: TestClient) -> None:
    request = {
        "id": None,
        "model_name": "another",
        "parameters": {"sequence_id": 3, "priority": 1, "timeout": None, "mine": {"a": [1]}},
        "inputs": [{**PICTURE, "parameters": {"content_type": "base64", "binary_data_size": None}}],
        "outputs": [],
    }
    assert list(post(client, request).json()) == ["model_name", "model_version", "outputs"]


def test_values_a_little_outside_are_taken_as_rounding(client: TestClient) -> None:
    for value, status in ((-0.0009, 200), (1.0009, 200), (-0.002, 400), (1.002, 400)):
        assert post(client, one_array(data=[value] * 320)).status_code == status


def test_one_bad_image_does_not_reach_the_batch_of_the_others(client: TestClient) -> None:
    with_nan = np.repeat(PIXELS, 2, axis=0)
    with_nan[1, 0, 3, 3] = np.inf
    bad = post(client, behind({**NUMBERS, "shape": [2, 1, 20, 16]}, with_nan.nbytes), with_nan.tobytes())
    assert bad.json()["error"] == "the values of the tensor input must be numbers in [0, 1], got inf"


def test_more_images_than_one_request_may_hold_are_refused(client: TestClient) -> None:
    for request in (one_picture(shape=[5]), one_array(shape=[5, 1, 20, 16], data=[])):
        answer = post(client, request)
        assert (answer.status_code, answer.json()["error"]) == (413, "one request may hold at most 4 images, got 5")


def test_json_of_more_values_than_any_request_needs_is_not_parsed(client: TestClient) -> None:
    most = 10_000 + 2 * 4 * 320
    for part in (b"0,", b"[[", b'{"'):
        answer = post(client, part * (most + 1))
        assert (answer.status_code, answer.json()["error"]) == (
            413,
            f"the JSON of one request may hold at most {most:,} values",
        )
    assert post(client, b"0," * most).status_code == 400


def test_a_request_may_be_compressed_and_its_length_is_that_of_the_json_inside(client: TestClient) -> None:
    text = json.dumps(behind(NUMBERS, PIXELS.nbytes)).encode()
    for coding, compress in {"gzip": gzip.compress, "deflate": zlib.compress}.items():
        headers = {LENGTH: str(len(text)), "Content-Encoding": coding}
        answer = client.post(PATH, content=compress(text + PIXELS.tobytes()), headers=headers)
        assert label(answer) in CLASSES


def test_a_bomb_is_refused_and_the_next_request_answered(client: TestClient) -> None:
    for coding, compress in {"gzip": gzip.compress, "deflate": zlib.compress}.items():
        bomb = client.post(PATH, content=compress(bytes(50_000_000)), headers={"Content-Encoding": coding})
        assert bomb.status_code == 413
        assert bomb.json()["error"] == "the body must have at most 100,000 bytes when it is no longer compressed"
        assert label(post(client, one_picture())) in CLASSES


def test_an_unknown_coding_is_refused_with_those_there_are(client: TestClient) -> None:
    answer = client.post(PATH, content=b"x", headers={"Content-Encoding": "br"})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_long_answer_is_compressed_and_a_short_one_is_not(client: TestClient, coding: str) -> None:
    headers = {"Accept-Encoding": coding}
    long = post(client, one_picture(), **headers)
    assert long.headers["content-encoding"] == coding
    assert int(long.headers["content-length"]) < len(long.content)
    assert label(long) in CLASSES
    short = post(client, {**one_picture(), "outputs": [{"name": "label"}]}, **headers)
    assert "content-encoding" not in short.headers


def test_the_stricter_of_two_deadlines_holds(client: TestClient) -> None:
    for timeout, header, status in ((1, "20", 504), (20_000_000, "0.000001", 504), (0, "20", 200), (10**18, "20", 200)):
        request = {**one_picture(), "parameters": {"timeout": timeout}}
        assert post(client, request, **{"X-Request-Timeout": header}).status_code == status


@pytest.mark.usefixtures("beside_the_loop")
def test_more_images_than_may_wait_are_answered_429(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models/tiny/1.safetensors")
    chosen = Settings(home=home, max_images=4, max_batch=4, max_waiting=4, refusal_seconds=0.05)
    with TestClient(create_app(chosen)) as client:
        network, cue, started = client.app.state.models.find().predictor._network, threading.Event(), threading.Event()
        run = dict(network._runs)
        network._runs = {
            name: lambda images, one=one: (started.set(), cue.wait(10), one(images))[-1] for name, one in run.items()
        }
        answers: list[Response] = []
        four = one_picture(shape=[4], data=PICTURE["data"] * 4)
        thread = threading.Thread(target=lambda: answers.append(post(client, four)))
        thread.start()
        assert started.wait(10)
        refused = post(client, one_picture())
        cue.set()
        thread.join(10)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"].startswith("at most 4 images may wait")
    assert [answer.status_code for answer in answers] == [200]


def test_a_model_or_version_that_is_not_there_is_404_everywhere(client: TestClient) -> None:
    for path in (
        "nope",
        "nope/ready",
        "tiny/versions/2",
        "tiny/versions/2/ready",
        "tiny/versions/0",
        "tiny/versions/01",
    ):
        answer = client.get(f"/v2/models/{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert answer.json()["error"]
    for path in ("nope/infer", "tiny/versions/2/infer", "tiny/versions/x/infer"):
        assert client.post(f"/v2/models/{path}", json=one_picture()).status_code == 404
