import asyncio
import doctest
import inspect
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import service.client
from service.client import (
    AsyncClient,
    Client,
    Conflict,
    DeadlinePassed,
    NoAnswer,
    NotAllowed,
    NotFound,
    Overloaded,
    ServiceError,
    TooLarge,
    WrongRequest,
    asynchronous,
    blocking,
)
from service.models.folder import register_shipped
from service.settings import Settings
from tests.service.conftest import CLASSES, encode, picture, write_model
from tests.service.datasets.zips import good
from tests.service.peer import CLOSED, RESET, SILENCE, Peer, answer
from tests.service.serving import serving

PROBLEM = {"type": "about:blank", "title": "t", "detail": "what to mend", "error": "what to mend", "request_id": "id-1"}
READY = answer(200, {"ready": True})


def problem(status: int, **headers: str) -> bytes:
    return answer(status, {**PROBLEM, "status": status}, Content_Type="application/problem+json", **headers)


@pytest.fixture(scope="module")
def url(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that takes at most 8 images in a request."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny" / "1.safetensors")
    with serving(Settings(home=home, max_images=8, max_pixels=10_000)) as host:
        yield f"http://{host}"


@pytest.fixture
def here(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


# Pictures


def as_path(image: Image.Image, folder: Path) -> Path:
    path = folder / "a.png"
    path.write_bytes(encode(image))
    return path


@pytest.mark.parametrize(
    "given",
    [
        lambda image, folder: as_path(image, folder),
        lambda image, folder: str(as_path(image, folder)),
        lambda image, folder: encode(image),
        lambda image, folder: memoryview(encode(image)),
        lambda image, folder: image,
        lambda image, folder: np.asarray(image),
        lambda image, folder: np.asarray(image).T.copy().T,
        lambda image, folder: np.repeat(np.asarray(image)[:, :, None], 3, 2),
    ],
    ids=["path", "text", "bytes", "memory", "PIL", "array", "transposed", "colours"],
)
def test_a_picture_may_be_given_in_every_form(here: Client, tmp_path: Path, given: Callable) -> None:
    image = picture()
    expected = here.predict(encode(image))
    got = here.predict(given(image, tmp_path))
    assert got.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert got.class_name in CLASSES


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_pil_images_of_every_mode_are_sent(here: Client, mode: str) -> None:
    image = picture().convert("I;16") if mode == "I;16" else picture(mode="RGB").convert(mode)
    assert here.predict(image).class_name in CLASSES


def test_a_pil_image_is_turned_as_its_file_would_be(here: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    file = encode(picture(30, 20, "RGB"), "JPEG", exif=exif)
    assert here.predict(Image.open(io.BytesIO(file))).width == here.predict(file).width == 20


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.float32), "image must be uint8 of shape .*, got float32 of (4, 4)"),
        (np.zeros((2, 4, 4), np.uint8), "got uint8 of (2, 4, 4); several are a list"),
        (np.zeros((0, 4), np.uint8), "got uint8 of (0, 4)"),
        (iter([3]), "image must be a path, bytes, a PIL image or a numpy array, got int"),
    ],
)
def test_what_is_no_picture_is_named(here: Client, image: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message).replace(r"\.\*", ".*")):
        here.predict(image)


def test_a_file_that_is_not_there_is_an_error_of_the_file(here: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        here.predict(tmp_path / "none.png")


# Predictions


def test_a_prediction_is_that_of_the_service_as_arrays_and_images(here: Client) -> None:
    image = picture(160, 200).resize((80, 100))
    got = here.predict(image, include=["theta", "outline", "transformed", "grid", "activations", "input"])
    assert (got.model, got.version, got.width, got.height, got.problem) == ("tiny", 1, 80, 100, None)
    assert got.probabilities[got.class_name] == got.probability == max(got.probabilities.values())
    assert list(got.probabilities) == list(CLASSES)
    assert got.theta.transform == "affine"
    np.testing.assert_array_equal(got.theta.matrix.ravel(), np.float32(list(got.theta.parameters.values())))
    assert got.outline.shape == (4, 2)
    assert got.grid.shape == (12, 14, 2)
    assert got.transformed.size == (14, 12)
    np.testing.assert_array_equal(got.transformed_array, np.asarray(got.transformed))
    assert got.transformed_array.dtype == np.uint8
    assert got.transformed_png.startswith(b"\x89PNG")
    assert got.input.size == (16, 20)
    assert got.activations[-1].shape == [3]


def test_a_theta_of_ones_own_takes_the_place_of_the_networks(here: Client) -> None:
    image = picture()
    assert here.predict(image).theta.given is False
    numbers = [0.5, 0.0, 0.25, 0.0, 0.5, 0.0]
    got = here.predict([image, image], theta=numbers)
    assert {entry.theta.given for entry in got} == {True}
    assert [list(entry.theta.parameters.values()) for entry in got] == [numbers] * 2
    np.testing.assert_allclose(here.predict(image, theta="identity").outline[2], [16, 20], atol=1e-4)
    np.testing.assert_array_equal(here.predict_arrays(image, theta=np.float32(numbers)).included["theta"], [numbers])
    with pytest.raises(WrongRequest, match=r"6 numbers \(xx, xy, x0, yx, yy, y0\)"):
        here.predict(image, theta=[1.0])


def test_what_is_not_included_is_none(here: Client) -> None:
    got = here.predict(picture(), include="", top_k=1)
    assert (got.theta, got.outline, got.grid, got.transformed, got.transformed_array) == (None,) * 5
    assert (got.input, got.activations) == (None, [])
    assert got.probabilities == {got.class_name: got.probability}


def test_more_images_than_the_service_takes_are_sent_in_several_requests_in_order(here: Client) -> None:
    images = [picture(seed=seed) for seed in range(37)]
    got = here.predict(iter(images))
    assert len(got) == 37
    for number in (0, 7, 8, 20, 36):
        assert got[number].probabilities == pytest.approx(here.predict(images[number]).probabilities, abs=1e-6)


def test_no_images_are_no_predictions(here: Client) -> None:
    assert here.predict([]) == []
    assert here.predict_arrays([]).problems == []


@pytest.mark.parametrize("place", [0, 8, 9])
def test_of_several_a_bad_picture_has_a_problem_wherever_it_is(url: str, place: int) -> None:
    images: list = [picture(seed=seed) for seed in range(9)]
    images.insert(place, b"nonsense")
    with Client(url, images_per_request=3) as client:  # so that it is once alone in its request
        got = client.predict(images)
        rows = client.predict_arrays(images)
    assert [bool(one.problem) for one in got] == [number == place for number in range(10)]
    assert isinstance(got[place].problem, WrongRequest)
    assert "these bytes are none of them" in got[place].problem.detail
    assert (got[place].class_name, got[place].transformed, got[place].activations) == ("", None, [])
    assert [bool(one) for one in rows.problems] == [number == place for number in range(10)]
    assert (type(rows.problems[place]), rows.problems[place].status) == (WrongRequest, 415)
    assert np.isnan(rows.probabilities[place]).all()
    assert np.isnan(rows.included["theta"][place]).all()
    assert not np.isnan(np.delete(rows.probabilities, place, 0)).any()


def test_a_bad_picture_alone_raises_its_problem(here: Client) -> None:
    with pytest.raises(WrongRequest, match="415: the image must be one of PNG"):
        here.predict(b"nonsense")
    with pytest.raises(TooLarge):
        here.predict(picture(200, 200))
    (listed,) = here.predict([picture(200, 200)])
    assert isinstance(listed.problem, TooLarge)
    assert listed.problem.request_id


def test_arrays_have_a_row_for_each_picture(here: Client) -> None:
    images = [picture(seed=seed) for seed in range(20)]
    got = here.predict_arrays(images, include="theta,transformed,outline")
    single = [here.predict(image) for image in images]
    assert (got.model, got.version, got.class_names) == ("tiny", 1, CLASSES)
    np.testing.assert_allclose(got.probabilities, [list(one.probabilities.values()) for one in single], atol=1e-6)
    np.testing.assert_allclose(got.included["matrix"], [one.theta.matrix for one in single], atol=1e-5)
    np.testing.assert_allclose(got.included["outline"], [one.outline for one in single], atol=1e-4)
    assert got.included["transformed"].shape == (20, 1, 12, 14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k: Input should be greater than or equal to 1, got 0"),
        ({"include": ["colour"]}, "include: must be among transformed, theta"),
        ({"model": "x" * 65}, "model: String should have at most 64 characters"),
        ({"timeout": 0.0}, "timeout must be seconds above 0, got 0.0"),
    ],
)
def test_a_wrong_option_is_named_before_anything_is_sent(options: dict, message: str) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ValueError, match=re.escape(message)):
        client.predict(picture(), **options)


def test_an_unknown_model_is_not_found(here: Client) -> None:
    with pytest.raises(NotFound, match="404: model must be one of tiny, got 'nope'") as caught:
        here.predict([picture()] * 2, model="nope")
    assert caught.value.status == 404
    assert caught.value.request_id


# The rest of the service


def test_models_are_described(here: Client) -> None:
    assert here.models().default_model == "tiny"
    assert [model.name for model in here.models().models] == ["tiny"]
    assert here.model("tiny").versions[0].class_names == list(CLASSES)
    with pytest.raises(NotFound):
        here.model("../../v2/health/ready")
    assert here.ready()


def test_a_service_that_is_not_there_is_not_ready_and_gives_no_answer() -> None:
    with Client("http://127.0.0.1:9", retries=1) as client:
        assert not client.ready()
        with pytest.raises(NoAnswer, match="there is no answer") as caught:
            client.models()
    assert caught.value.status is None


MODELS = {"default_model": None, "models": [], "refused": [], "added_later": 1}


def test_a_model_is_uploaded_answers_and_is_deleted(here: Client, tmp_path: Path) -> None:
    write_model(tmp_path / "model.safetensors")
    with pytest.raises(WrongRequest, match="422"):
        here.upload(Path(__file__), "other")
    assert here.upload(tmp_path / "model.safetensors", "other").version == 1
    assert here.predict(picture(), model="other").class_name == here.predict(picture()).class_name
    assert here.set_default("other", 1).default_version == 1
    with pytest.raises(Conflict):
        here.delete("other", 1)
    here.delete("other")
    assert [model.name for model in here.models().models] == ["tiny"]


def documents(here: Client) -> tuple[object, object]:
    """A model and a version of it, as a later service may describe them."""
    model = here.model("tiny").model_dump(mode="json")
    return {**model, "added_later": 1}, {**model["versions"][0], "version": 2, "added_later": 1}


def test_models_are_uploaded_chosen_and_deleted_by_the_requests_for_it(here: Client, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(os.urandom(600_000))
    model, version = documents(here)
    peer = Peer([answer(201, version), answer(200, model), answer(200, model), answer(204), answer(204)])
    with peer.running() as url, Client(url, key="secret") as client:
        assert client.upload(file, "a b").version == 2
        client.set_default("a b", 2)
        client.set_default("a b", None)
        client.delete("..", 2)
        client.delete("a/b")
    assert [(one.method, one.path) for one in peer.received] == [
        ("POST", "/v1/models?name=a+b"),
        ("PUT", "/v1/models/a%20b/default"),
        ("PUT", "/v1/models/a%20b/default"),
        ("DELETE", "/v1/models/%2E%2E/versions/2"),
        ("DELETE", "/v1/models/a%2Fb"),
    ]
    assert peer.received[0].body == file.read_bytes()
    assert [json.loads(one.body)["version"] for one in peer.received[1:3]] == [2, None]
    assert {one.headers["authorization"] for one in peer.received} == {"Bearer secret"}


# Retries


@pytest.mark.parametrize("refusal", [problem(429), problem(503), RESET, CLOSED])
def test_what_was_refused_or_lost_is_asked_again(refusal: bytes) -> None:
    peer = Peer([refusal, refusal, answer(200, MODELS)])
    with peer.running() as url, Client(url) as client:
        assert client.models().models == []
    assert len(peer.received) == 3


@pytest.mark.parametrize("header", ["1", "date"])
def test_retry_after_is_waited_for_whether_it_is_seconds_or_a_date(header: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)  # a clock that is wrong
    late = format_datetime(now + timedelta(seconds=1), usegmt=True)
    headers = {"Retry_After": late if header == "date" else header, "Date": format_datetime(now, usegmt=True)}
    peer = Peer([problem(503, **headers), answer(200, MODELS)])
    with peer.running() as url, Client(url) as client:
        client.models()
    first, second = peer.received
    assert 1 <= second.seconds - first.seconds < 1.9


def test_a_wait_that_would_take_too_long_is_not_begun() -> None:
    peer = Peer([problem(429, Retry_After="3")])
    with peer.running() as url, Client(url, timeout=1.0) as client, pytest.raises(Overloaded, match="what to mend"):
        client.models()
    assert len(peer.received) == 1


@pytest.mark.parametrize(("retries", "sent"), [(0, 1), (2, 3)])
def test_it_is_not_asked_again_for_ever(retries: int, sent: int) -> None:
    peer = Peer([problem(429)])
    with peer.running() as url, Client(url, retries=retries) as client, pytest.raises(Overloaded):
        client.models()
    assert len(peer.received) == sent


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, WrongRequest), (401, NotAllowed), (403, NotAllowed), (404, NotFound), (409, Conflict)),
        *((413, TooLarge), (422, WrongRequest), (500, ServiceError), (504, DeadlinePassed)),
    ],
)
def test_an_answer_is_final_and_raised_by_its_status(status: int, kind: type[ServiceError]) -> None:
    peer = Peer([problem(status)])
    with peer.running() as url, Client(url) as client, pytest.raises(ServiceError) as caught:
        client.models()
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.detail, caught.value.request_id) == (status, "what to mend", "id-1")
    assert len(peer.received) == 1


@pytest.mark.parametrize(("lost", "sent"), [(RESET, 1), (CLOSED, 1), (problem(429), 2), (problem(503), 2)])
def test_what_may_have_had_effect_is_not_done_again(tmp_path: Path, lost: bytes, sent: int) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x" * 1000)
    for act in (
        lambda client: client.upload(file, "a"),
        lambda client: client.delete("a", 1),
        lambda client: client.set_default("a", 1),
    ):
        peer = Peer([lost, problem(404)])
        with peer.running() as url, Client(url) as client, pytest.raises(ServiceError) as caught:
            act(client)
        assert len(peer.received) == sent
        assert isinstance(caught.value, NoAnswer if sent == 1 else NotFound)
        assert all(one.body == peer.received[0].body for one in peer.received)


def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    peer = Peer([answer(200, MODELS)[:-5]])
    with peer.running() as url, Client(url) as client, pytest.raises(NoAnswer, match="the answer broke off"):
        client.models()
    assert len(peer.received) == 1


def test_a_service_that_stays_silent_is_left_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.connection._GRACE", 0.1)
    peer = Peer([SILENCE])
    start = time.monotonic()
    with peer.running() as url, Client(url) as client, pytest.raises(NoAnswer):
        client.predict(picture(), timeout=0.3)
    assert 0.3 < time.monotonic() - start < 2
    (sent,) = peer.received
    assert 0 < float(sent.headers["x-request-timeout"]) <= 0.3


@pytest.mark.parametrize(
    "strange",
    [
        answer(200, {"hello": 1}),
        answer(200, {"model": "a", "version": 1, "predictions": []}),
        answer(200, None),
        answer(302, None, Location="http://127.0.0.1:9/"),
        answer(502, None),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_arrays"])
def test_a_server_that_is_another_program_is_told_apart(strange: bytes, method: str) -> None:
    with Peer([strange]).running() as url, Client(url) as client, pytest.raises(ServiceError, match="answer is"):
        getattr(client, method)(picture())


def test_a_service_that_is_starting_is_not_ready() -> None:
    for said, ready in ((problem(503, Retry_After="1"), False), (READY, True)):
        with Peer([said]).running() as url, Client(url) as client:
            assert client.ready() is ready


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "127.0.0.1:8000"}, "url must be http://HOST or https://HOST, with a port or a path, got"),
        ({"url": "ftp://host"}, "url must be"),
        ({"url": "http://"}, "url must be"),
        ({"url": "http://a", "key": "ключ"}, "key must be of printable ASCII characters, got others"),
        ({"url": "http://a", "key": "a\nb"}, "key must be"),
        ({"url": "http://a", "retries": -1}, "retries must be at least 0, got -1"),
        ({"url": "http://a", "images_per_request": 0}, "images_per_request must be at least 1, got 0"),
        ({"url": "http://a", "timeout": float("nan")}, "timeout must be seconds above 0, got nan"),
    ],
)
def test_a_client_that_cannot_work_is_not_made(arguments: dict, message: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=re.escape(message)):
            kind(**arguments)


def test_an_error_survives_its_way_out_of_a_process() -> None:
    error = pickle.loads(pickle.dumps(NotFound(404, "gone", "id-1")))
    assert (type(error), error.status, error.detail, error.request_id) == (NotFound, 404, "gone", "id-1")


# Without blocking


def test_the_client_that_does_not_block_gives_the_same_answers(url: str, here: Client) -> None:
    images = [picture(seed=seed) for seed in range(21)]

    async def ask() -> tuple:
        async with AsyncClient(url) as client:
            return await asyncio.gather(
                client.predict(images),
                client.predict(images[0]),
                client.predict_arrays(images),
                client.models(),
                client.model("tiny"),
                client.ready(),
            )

    several, one, arrays, models, model, ready = asyncio.run(ask())
    expected = here.predict_arrays(images)
    np.testing.assert_allclose([list(got.probabilities.values()) for got in several], expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(arrays.probabilities, expected.probabilities, atol=1e-6)
    assert one.class_name == several[0].class_name
    assert (models.default_model, model.name, ready) == ("tiny", "tiny", True)


def test_the_client_that_does_not_block_asks_again_and_uploads(here: Client, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(os.urandom(600_000))
    model, version = documents(here)
    peer = Peer([RESET, answer(200, MODELS), problem(429), answer(201, version), answer(200, model), answer(204)])

    async def act(url: str) -> None:
        async with AsyncClient(url) as client:
            await client.models()
            await client.upload(file, "a")
            await client.set_default("a", None)
            await client.delete("a", 1)

    with peer.running() as url:
        asyncio.run(act(url))
    assert [one.method for one in peer.received] == ["GET", "GET", "POST", "POST", "PUT", "DELETE"]
    assert peer.received[3].body == file.read_bytes()


def test_an_error_ends_the_other_requests(url: str) -> None:
    async def ask() -> None:
        async with AsyncClient(url, images_per_request=1) as client:
            with pytest.raises(NotFound):
                await client.predict([picture()] * 100, model="nope")
            with pytest.raises(FileNotFoundError):
                await client.predict(["nowhere.png"] * 100)
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(ask())


def test_no_more_requests_are_made_at_once_than_allowed(url: str) -> None:
    app_side, most = threading.Lock(), [0, 0]

    class Counting(AsyncClient):
        async def _ask_once(self, *arguments):
            with app_side:
                most[0] += 1
                most[1] = max(most)
            try:
                return await super()._ask_once(*arguments)
            finally:
                most[0] -= 1

    async def ask() -> None:
        async with Counting(url, images_per_request=2, requests_at_once=3) as client:
            assert len(await client.predict(picture(seed=seed) for seed in range(40))) == 40

    asyncio.run(ask())
    assert most == [0, 3]


def test_both_clients_have_the_same_methods() -> None:
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in public:
        assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(AsyncClient, name)), name


# What is said of it


def test_the_client_needs_no_torch() -> None:
    names = ("torch", "onnxruntime", "fastapi", "sqlalchemy")
    code = f"import sys, service.client; print([name for name in {names} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.fixture(scope="module")
def shipped(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("shipped")
    register_shipped(home / "models")
    with serving(Settings(home=home)) as host:
        yield f"http://{host}"


@pytest.mark.parametrize("module", [blocking, asynchronous])
def test_the_examples_run(shipped: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3] / "docs")
    names = {"asyncio": asyncio, "url": shipped, "Client": Client, "AsyncClient": AsyncClient}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, globs=names):
        runner.run(example)
    assert runner.summarize().attempted > 1
    assert runner.summarize().failed == 0


def test_the_page_about_it_runs(shipped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = Path(__file__).parents[3] / "docs"
    shutil.copy(docs / "digit.png", tmp_path)
    for name, data in good().items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    names: dict = {"paths": ["digit.png"] * 3}
    blocks = re.findall(r"```python\n(.*?)```", (docs / "client.md").read_text(), re.DOTALL)
    for block in blocks:
        exec(block.replace("http://127.0.0.1:8000", shipped), names)
    assert len(names["predictions"]) == 3
    assert names["prediction"].class_name == "6"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(service.client, name) for name in service.client.__all__)
