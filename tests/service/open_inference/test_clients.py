"""The Open Inference Protocol V2, spoken by clients that nobody here wrote: Triton's, and the protocol's own."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
import torch
import tritonclient.http as triton
from open_inference.openapi.client import AsyncOpenInferenceClient, OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors import BadRequestError, NotFoundError
from open_inference.openapi.types import InferenceRequest, RequestInput, RequestOutput
from tritonclient.utils import InferenceServerException

from service.settings import Settings
from stn import load_model
from tests.service.conftest import CLASSES, encode, picture, write_model
from tests.service.serving import serving

SIZE = [1, 20, 16]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models/tiny/1.safetensors")
    write_model(home / "models/tiny/2.safetensors", channels=3)
    write_model(home / "models/plain/1.safetensors", transform="none")
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(Settings(home=home, max_images=8, max_pixels=100_000)) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address, concurrency=4) as client:
        yield client


@pytest.fixture
def openapi_client(address: str) -> Iterator[OpenInferenceClient]:
    client = OpenInferenceClient(base_url=f"http://{address}")
    yield client
    client._client_wrapper.httpx_client.close()


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, *SIZE), np.float32)


def tensor(name: str, values: np.ndarray, datatype: str, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput(name, list(values.shape), datatype)
    return tensor.set_data_from_numpy(values, binary_data=binary)


def pictures(*images: bytes) -> np.ndarray:
    return np.array(images, dtype=object)


def expected(home: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the library says of the same pixels."""
    with torch.inference_mode():
        logits, (transformed, theta, _) = load_model(home / "models/tiny/1.safetensors")(torch.from_numpy(images))
    probabilities = logits.softmax(-1).numpy()
    return {
        "probabilities": probabilities,
        "theta": theta.numpy(),
        "transformed": transformed.numpy(),
        "label": np.array([CLASSES[index] for index in probabilities.argmax(-1)]),
    }


def check(result: triton.InferResult, wanted: dict[str, np.ndarray]) -> None:
    for name in ("probabilities", "theta", "transformed"):
        assert result.as_numpy(name).dtype == np.float32
        np.testing.assert_allclose(result.as_numpy(name), wanted[name], atol=1e-5)
    labels = result.as_numpy("label")
    assert [label.decode() if isinstance(label, bytes) else label for label in labels] == wanted["label"].tolist()


def test_triton_sees_that_server_and_models_are_live_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("tiny") and client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "3") and not client.is_model_ready("nope")


def test_triton_reads_the_metadata(client: triton.InferenceServerClient) -> None:
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
    metadata = client.get_model_metadata("tiny", "1")
    assert metadata["versions"] == ["1", "2"]
    assert metadata["inputs"] == [
        {"name": "image", "datatype": "BYTES", "shape": [-1]},
        {"name": "input", "datatype": "FP32", "shape": [-1, *SIZE]},
    ]
    assert metadata["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "theta", "datatype": "FP32", "shape": [-1, 6]},
        {"name": "transformed", "datatype": "FP32", "shape": [-1, 1, 12, 14]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
    ]
    assert client.get_model_metadata("tiny")["inputs"][1]["shape"] == [-1, 3, 20, 16]  # of the newest version


@pytest.mark.parametrize("model", ["tiny", "plain"])
def test_what_is_answered_has_the_shapes_of_the_metadata(client: triton.InferenceServerClient, model: str) -> None:
    metadata = client.get_model_metadata(model, "1")
    result = client.infer(model, [tensor("input", pixels(2), "FP32")], "1")
    assert [output["name"] for output in result.get_response()["outputs"]] == [
        output["name"] for output in metadata["outputs"]
    ]
    for output in metadata["outputs"]:
        assert result.get_output(output["name"])["datatype"] == output["datatype"]
        assert result.as_numpy(output["name"]).shape == (2, *output["shape"][1:])


@pytest.mark.parametrize("binary_output", [True, False])
@pytest.mark.parametrize("binary_input", [True, False])
def test_triton_gets_the_librarys_own_answer_for_pixels(
    client: triton.InferenceServerClient, home: Path, binary_input: bool, binary_output: bool
) -> None:
    images = pixels(3)
    names = ("label", "transformed", "probabilities", "theta")
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_output) for name in names]
    result = client.infer("tiny", [tensor("input", images, "FP32", binary_input)], "1", outputs, request_id="a-1")
    check(result, expected(home, images))
    answer = result.get_response()
    assert [output["name"] for output in answer["outputs"]] == list(names)
    assert [("data" in output) for output in answer["outputs"]] == [not binary_output] * 4
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("tiny", "1", "a-1")


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_triton_gets_the_same_answer_for_encoded_pictures(
    client: triton.InferenceServerClient, home: Path, shape: tuple[int, ...]
) -> None:
    shown = [picture(seed=seed) for seed in range(2)]
    images = np.stack([np.array(image, np.float32)[None] / 255 for image in shown])
    encoded = pictures(*map(encode, shown)).reshape(shape)
    check(client.infer("tiny", [tensor("image", encoded, "BYTES")], "1"), expected(home, images))
    text = pictures(*(base64.b64encode(data) for data in encoded.flat)).reshape(shape)
    check(client.infer("tiny", [tensor("image", text, "BYTES", binary=False)], "1"), expected(home, images))


def test_binary_and_json_outputs_may_be_mixed(client: triton.InferenceServerClient, home: Path) -> None:
    binary = {"label": True, "theta": False, "probabilities": True, "transformed": False}
    outputs = [triton.InferRequestedOutput(name, binary_data=is_binary) for name, is_binary in binary.items()]
    result = client.infer("tiny", [tensor("input", pixels(2), "FP32")], "1", outputs)
    check(result, expected(home, pixels(2)))
    assert {output["name"]: "data" not in output for output in result.get_response()["outputs"]} == binary


@pytest.mark.parametrize("binary", [True, False])
def test_triton_gets_the_most_probable_classes(client: triton.InferenceServerClient, home: Path, binary: bool) -> None:
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    result = client.infer("tiny", [tensor("input", pixels(2), "FP32")], "1", outputs)
    assert result.as_numpy("probabilities").shape == (2, 2)
    for row, probabilities in zip(
        result.as_numpy("probabilities"), expected(home, pixels(2))["probabilities"], strict=True
    ):
        found = [(text.decode() if isinstance(text, bytes) else text).split(":") for text in row]
        order = np.argsort(-probabilities)[:2].tolist()
        assert [(int(index), label) for _, index, label in found] == [(index, CLASSES[index]) for index in order]
        assert [float(value) for value, _, _ in found] == pytest.approx(probabilities[order].tolist(), abs=1e-5)


def test_more_classes_than_there_are_are_all_of_them(client: triton.InferenceServerClient) -> None:
    outputs = [triton.InferRequestedOutput("probabilities", class_count=100)]
    result = client.infer("tiny", [tensor("input", pixels(1), "FP32")], "1", outputs)
    assert result.as_numpy("probabilities").shape == (1, 3)


@pytest.mark.parametrize("answered", ["gzip", "deflate", None])
@pytest.mark.parametrize("sent", ["gzip", "deflate", None])
def test_triton_may_compress_what_it_sends_and_gets(
    client: triton.InferenceServerClient, home: Path, sent: str | None, answered: str | None
) -> None:
    result = client.infer(
        "tiny",
        [tensor("input", pixels(4), "FP32")],
        "1",
        request_compression_algorithm=sent,
        response_compression_algorithm=answered,
    )
    check(result, expected(home, pixels(4)))


def test_triton_may_have_several_requests_under_way(client: triton.InferenceServerClient, home: Path) -> None:
    images = pixels(8)
    waiting = [
        client.async_infer("tiny", [tensor("input", images[index : index + 1], "FP32")], "1", request_id=str(index))
        for index in range(8)
    ]
    wanted = expected(home, images)
    for index, request in enumerate(waiting):
        result = request.get_result()
        assert result.get_response()["id"] == str(index)
        check(result, {name: values[index : index + 1] for name, values in wanted.items()})


def test_triton_hears_what_to_mend(client: triton.InferenceServerClient) -> None:
    good, nan = tensor("input", pixels(1), "FP32"), tensor("input", np.full((1, *SIZE), np.nan, np.float32), "FP32")
    cases = [
        (("nope", [good]), {}, "404", "model must be one of plain, tiny, got 'nope'"),
        (("tiny", [good], "9"), {}, "404", "version must be one of model tiny's (1, 2), got 9"),
        (("tiny", [good], "x"), {}, "404", "version must be a number from 1 to 999,999,999, got 'x'"),
        (("tiny", [nan], "1"), {}, "400", "the values of the tensor input must be numbers in [0, 1], got nan"),
        (
            ("tiny", [tensor("input", 255 * pixels(1), "FP32")], "1"),
            {},
            "400",
            "the values of the tensor input must be numbers in [0, 1], got 25",
        ),
        (("tiny", [tensor("input", pixels(9), "FP32")], "1"), {}, "413", "at most 8 images, got 9"),
        (
            ("tiny", [tensor("input", pixels(1).astype(np.float64), "FP64")], "1"),
            {},
            "400",
            "the datatype of the tensor input must be FP32, got 'FP64'",
        ),
        (
            ("tiny", [tensor("input", pixels(1)[:, :, 1:], "FP32")], "1"),
            {},
            "400",
            "the shape of the tensor input must be [n, 1, 20, 16], got [1, 1, 19, 16]",
        ),
        (
            ("tiny", [good, tensor("image", pictures(b"x"), "BYTES")], "1"),
            {},
            "400",
            "the inputs must be one tensor, image or input, got input, image",
        ),
        (
            ("tiny", [tensor("image", pictures(encode(picture()), b"nonsense"), "BYTES")], "1"),
            {},
            "400",
            "element 1 of the tensor image: the image must be one of PNG, JPEG, WEBP, GIF, BMP",
        ),
        (
            ("tiny", [tensor("image", pictures(encode(picture(400, 300))), "BYTES")], "1"),
            {},
            "413",
            "element 0 of the tensor image: the image must have at most 100,000 pixels, got 400 x 300",
        ),
        (
            ("plain", [good], "1", [triton.InferRequestedOutput("theta")]),
            {},
            "400",
            "the outputs must be among probabilities, transformed, label, got 'theta'",
        ),
        (
            ("tiny", [good], "1", [triton.InferRequestedOutput("theta", class_count=2)]),
            {},
            "400",
            "classification must be asked of probabilities, got theta",
        ),
        (("tiny", [good], "1"), {"timeout": 1}, "504", "the deadline passed before the prediction was made"),
    ]
    for arguments, options, status, message in cases:
        with pytest.raises(InferenceServerException) as raised:
            client.infer(*arguments, **options)
        assert message in raised.value.message()
        assert raised.value.status() == status
    assert client.infer("tiny", [good], "1", timeout=20_000_000).as_numpy("label") is not None


def test_triton_does_not_get_shared_memory(client: triton.InferenceServerClient) -> None:
    output = triton.InferRequestedOutput("probabilities")
    output.set_shared_memory("region", 12)
    with pytest.raises(InferenceServerException, match="must not name a shared_memory_region"):
        client.infer("tiny", [tensor("input", pixels(1), "FP32")], "1", [output])
    shared = triton.InferInput("input", [1, *SIZE], "FP32").set_shared_memory("region", 1280)
    with pytest.raises(InferenceServerException, match="must have either data or parameters.binary_data_size"):
        client.infer("tiny", [shared], "1")


def openapi_request(images: np.ndarray, nested: bool = False, **fields: object) -> InferenceRequest:
    data = images.tolist() if nested else images.ravel().tolist()
    return InferenceRequest(
        inputs=[RequestInput(name="input", shape=list(images.shape), datatype="FP32", data=data)], **fields
    )


def test_the_protocols_own_client_reads_probes_and_metadata(openapi_client: OpenInferenceClient) -> None:
    openapi_client.check_server_liveness()
    openapi_client.check_server_readiness()
    openapi_client.check_model_readiness("tiny")
    openapi_client.check_model_version_readiness("tiny", "1")
    assert openapi_client.read_server_metadata().name == "stn"
    assert [tensor.name for tensor in openapi_client.read_model_metadata("tiny").inputs] == ["image", "input"]
    metadata = openapi_client.read_model_version_metadata("tiny", "1")
    assert metadata.outputs[0].shape == [-1, 3]
    assert metadata.properties == {
        "class_names": '["cat","dog","owl"]',
        "parameter_names": '["xx","xy","x0","yx","yy","y0"]',
    }


@pytest.mark.parametrize("nested", [True, False])
def test_the_protocols_own_client_gets_the_librarys_answer(
    openapi_client: OpenInferenceClient, home: Path, nested: bool
) -> None:
    images = pixels(2)
    answer = openapi_client.model_version_infer("tiny", "1", request=openapi_request(images, nested, id="7"))
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "tiny", "1")
    for output in answer.outputs:
        values, wanted = np.array(output.data.__root__).reshape(output.shape), expected(home, images)[output.name]
        if output.name == "label":
            assert values.tolist() == wanted.tolist()
        else:
            np.testing.assert_allclose(values, wanted, atol=1e-5)


def test_the_protocols_own_client_asks_for_some_outputs_of_the_newest_version(
    openapi_client: OpenInferenceClient,
) -> None:
    text = base64.b64encode(encode(picture(mode="RGB"))).decode()
    request = InferenceRequest(
        parameters={"priority": 1, "anything": "else"},
        inputs=[RequestInput(name="image", shape=[1], datatype="BYTES", data=[text])],
        outputs=[RequestOutput(name="probabilities", parameters={"classification": 1}), RequestOutput(name="label")],
    )
    answer = openapi_client.model_infer("tiny", request=request)
    assert answer.model_version == "2"
    best, label = (output.data.__root__[0] for output in answer.outputs)
    assert best.split(":")[2] == label


def test_the_protocols_own_client_raises_its_own_errors(openapi_client: OpenInferenceClient) -> None:
    with pytest.raises(NotFoundError) as raised:
        openapi_client.check_model_readiness("nope")
    assert raised.value.body["error"] == "model must be one of plain, tiny, got 'nope'"
    with pytest.raises(BadRequestError) as raised:
        openapi_client.model_version_infer("tiny", "1", request=openapi_request(2 + pixels(1)))
    assert "must be numbers in [0, 1]" in raised.value.body["error"]
    with pytest.raises(ApiError) as raised:
        openapi_client.read_model_metadata("nope")
    assert raised.value.status_code == 404


def test_the_protocols_own_client_works_asynchronously(address: str, home: Path) -> None:
    async def ask() -> list[list[float | str]]:
        client = AsyncOpenInferenceClient(base_url=f"http://{address}")
        async with client._client_wrapper.httpx_client:
            await client.check_server_readiness()
            request = openapi_request(pixels(1), outputs=[RequestOutput(name="label")])
            answers = await asyncio.gather(
                *(client.model_version_infer("tiny", "1", request=request) for _ in range(9))
            )
        return [answer.outputs[0].data.__root__ for answer in answers]

    assert asyncio.run(ask()) == [expected(home, pixels(1))["label"].tolist()] * 9


def test_kserve_reads_the_probes_as_json(address: str) -> None:
    with httpx2.Client(base_url=f"http://{address}") as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}
