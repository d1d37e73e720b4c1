"""Models come, change, answer and go while the service runs."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

from service.app import create_app
from service.models import served as served_module
from service.models.served import Served
from service.models.store import ModelStore
from service.settings import Settings
from tests.service.conftest import encode, picture, write_model

PNG = {"Content-Type": "image/png"}
IMAGE = encode(picture())


def predict(client: TestClient, query: str = "") -> dict:
    answer = client.post(f"/v1/predict{query}", content=IMAGE, headers=PNG)
    assert answer.status_code == 200, answer.text
    return answer.json()


def probabilities(answer: dict) -> list[float]:
    return list(answer["predictions"][0]["probabilities"].values())


def version_of(client: TestClient, version: int, name: str = "tiny") -> dict:
    return client.get(f"/v1/models/{name}/versions/{version}").json()


def refused(client: TestClient) -> dict[str, str]:
    return {entry["file"]: entry["reason"] for entry in client.get("/v1/models").json()["refused"]}


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@contextmanager
def serve(home: Path, **settings: object) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(home=home, **settings))) as client:
        yield client


@contextmanager
def held_up(served: Served) -> Iterator[None]:
    """Its network waits until the end of the block."""
    network, cue = served.predictor._network, threading.Event()
    run = dict(network._runs)
    network._runs = {name: lambda images, one=one: (cue.wait(10), one(images))[-1] for name, one in run.items()}
    try:
        yield
    finally:
        cue.set()
        network._runs = run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models of the same images with different weights."""
    paths = [tmp_path_factory.mktemp("files") / f"{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        write_model(path, seed=seed)
    return paths


def put(source: Path, target: Path) -> None:
    """Put a copy in its place at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".{target.name}.beside"
    shutil.copyfile(source, beside)
    beside.rename(target)


@pytest.mark.slow
def test_no_request_fails_and_none_sees_half_a_model_while_versions_come_change_and_go(
    home: Path, files: list[Path]
) -> None:
    folder = home / "models/tiny"
    allowed: dict[int, list[list[float]]] = {}
    failures: list[str] = []
    seen: set[int] = set()
    stop = threading.Event()

    def hammer(client: TestClient) -> None:
        while not stop.is_set():
            response = client.post("/v1/predict?model=tiny", content=IMAGE, headers=PNG)
            if response.status_code != 200:
                failures.append(response.text)
                return
            answer = response.json()
            seen.add(answer["version"])
            if not any(probabilities(answer) == pytest.approx(known, abs=1e-5) for known in allowed[answer["version"]]):
                failures.append(f"version {answer['version']} answered {probabilities(answer)}")
                return

    with serve(home) as client:
        known = []
        for index, file in enumerate(files):
            put(file, home / f"models/reference{index}/1.safetensors")
            known.append(probabilities(predict(client, f"?model=reference{index}")))
        allowed = {1: [known[0], known[2]], 2: [known[1]], 3: [known[2]], 4: [known[0]]}
        with ThreadPoolExecutor(4) as pool:
            hammers = [pool.submit(hammer, client) for _ in range(4)]
            try:
                for version in (2, 3):  # uploaded
                    body = files[version - 1].read_bytes()
                    kind = {"Content-Type": "application/octet-stream"}
                    assert client.post("/v1/models?name=tiny", content=body, headers=kind).status_code == 201
                    assert predict(client)["version"] == version
                for version in (1, 2, None, 1):  # chosen
                    assert client.put("/v1/models/tiny/default", json={"version": version}).status_code == 200
                    assert predict(client)["version"] == version or version is None
                put(files[2], folder / "1.safetensors")  # replaced where it lies
                wait_until(lambda: probabilities(predict(client)) == pytest.approx(known[2], abs=1e-5))
                put(files[0], folder / "4.safetensors")  # put there by hand
                (folder / "default").unlink()
                wait_until(lambda: predict(client)["version"] == 4)
                (folder / "4.safetensors").unlink()
                wait_until(lambda: predict(client)["version"] == 3)
                assert client.delete("/v1/models/tiny/versions/2").status_code == 204
                busy = client.delete("/v1/models/tiny/versions/3")
                assert busy.status_code == 409 and "is predicting for" in busy.json()["detail"]
                assert client.delete("/v1/models/tiny").status_code == 409
                assert client.put("/v1/models/tiny/default", json={"version": 1}).status_code == 200
                assert client.delete("/v1/models/tiny/versions/3").status_code == 204
                assert predict(client)["version"] == 1
                time.sleep(0.2)
            finally:
                stop.set()
                for done in hammers:
                    done.result(30)
    assert failures == []
    assert seen == {1, 2, 3, 4}


def test_a_new_version_answers_once_it_is_loaded_and_the_one_before_until_then(
    home: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cue, begun, load = threading.Event(), threading.Event(), served_module.load

    def slow(path: Path, *rest: object):
        if path.name == "2.safetensors":
            begun.set()
            assert cue.wait(10)
        return load(path, *rest)

    monkeypatch.setattr(served_module, "load", slow)
    with serve(home) as client:
        put(files[1], home / "models/tiny/2.safetensors")
        assert begun.wait(10)
        assert predict(client)["version"] == 1
        assert version_of(client, 2)["state"] == "loading"
        assert client.get("/v1/models/tiny").json()["default_version"] == 1
        late = client.post("/v1/predict?version=2", content=IMAGE, headers={**PNG, "X-Request-Timeout": "0.1"})
        assert late.status_code == 504
        assert "while the model was being loaded" in late.json()["detail"]
        cue.set()
        wait_until(lambda: predict(client)["version"] == 2)
        assert version_of(client, 2)["state"] == "loaded"
        assert predict(client, "?version=1")["version"] == 1


def test_the_service_answers_503_until_its_models_are_loaded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cue, load = threading.Event(), served_module.load

    def slow(path: Path, *rest: object):
        assert cue.wait(10)
        return load(path, *rest)

    monkeypatch.setattr(served_module, "load", slow)
    with TestClient(create_app(Settings(home=home), wait_for_models=False)) as client:
        for answer in (
            client.post("/v1/predict", content=IMAGE, headers=PNG),
            client.post("/v1/models?name=tiny", content=b"x", headers={"Content-Type": "application/octet-stream"}),
            client.delete("/v1/models/tiny"),
        ):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/v2/health/live").json() == {"live": True}
        ready = client.get("/v2/health/ready")
        assert (ready.status_code, ready.json(), ready.headers["retry-after"]) == (503, {"ready": False}, "1")
        wait_until(lambda: client.get("/v1/models").json()["models"] != [])
        assert version_of(client, 1)["state"] == "loading"
        cue.set()
        wait_until(lambda: client.get("/v2/health/ready").status_code == 200)
        assert predict(client)["version"] == 1


def test_not_ready_while_draining(home: Path) -> None:
    app = create_app(Settings(home=home))
    with TestClient(app) as client:
        app.state.draining = True
        answer = client.get("/v2/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False})
        assert predict(client)["version"] == 1


def test_no_more_models_are_in_memory_than_may_be_and_those_used_least_recently_make_room(
    home: Path, files: list[Path]
) -> None:
    names = ["tiny", "a", "b", "c"]
    for name in names[1:]:
        put(files[1], home / f"models/{name}/1.safetensors")
        time.sleep(0.01)  # so that one is the newest

    def loaded() -> set[str]:
        models = client.get("/v1/models").json()["models"]
        states = {model["name"]: model["versions"][0]["state"] for model in models}
        assert set(states.values()) <= {"loaded", "on disk"}
        return {name for name, state in states.items() if state == "loaded"}

    with serve(home, max_models=2, default_model="tiny") as client:
        assert loaded() == {"tiny", "c"}  # the default model and the newest
        predict(client)
        predict(client, "?model=a")
        assert loaded() == {"tiny", "a"}
        predict(client, "?model=b")
        assert loaded() == {"a", "b"}
        predict(client, "?model=a")
        predict(client, "?model=tiny")
        assert loaded() == {"a", "tiny"}
        assert version_of(client, 1, "a")["last_used"] < version_of(client, 1)["last_used"]
        assert version_of(client, 1, "b")["last_used"] is None


def test_what_is_asked_for_by_many_at_once_is_loaded_once(
    home: Path, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    put(files[1], home / "models/other/1.safetensors")
    with (
        caplog.at_level(logging.INFO, "service"),
        serve(home, max_models=1, default_model="tiny") as client,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: predict(client, "?model=other"), range(16)))
    assert {answer["model"] for answer in answers} == {"other"}
    assert caplog.messages.count("serving model other, version 1") == 1


@pytest.mark.usefixtures("beside_the_loop")
def test_a_network_that_has_been_replaced_gives_its_thread_back(home: Path, files: list[Path]) -> None:
    def threads() -> int:
        return sum(thread.name == "network" for thread in threading.enumerate())

    before = threads()
    with serve(home, max_models=2) as client:
        for version in range(2, 6):
            put(files[version % 3], home / f"models/tiny/{version}.safetensors")
            assert predict(client, f"?version={version}")["version"] == version
        wait_until(lambda: threads() == before + 2)
    wait_until(lambda: threads() == before)


def test_a_damaged_replacement_is_refused_with_its_reason_and_what_was_there_answers_on(
    home: Path, files: list[Path], tmp_path: Path
) -> None:
    path, nonsense = home / "models/tiny/1.safetensors", tmp_path / "nonsense"
    nonsense.write_bytes(b"nonsense")
    with serve(home, max_models=1) as client:
        before = probabilities(predict(client))
        put(nonsense, path)
        wait_until(lambda: "tiny/1.safetensors" in refused(client))
        assert "not a complete safetensors file" in refused(client)["tiny/1.safetensors"]
        assert probabilities(predict(client, "?version=1")) == before
        assert probabilities(predict(client)) == before
        version = version_of(client, 1)
        assert (version["state"], version["default"]) == ("loaded", True)
        assert "not a complete safetensors file" in version["reason"]
        put(files[2], home / "models/other/1.safetensors")
        predict(client, "?model=other")  # what cannot be loaded again makes no room
        assert probabilities(predict(client)) == before
        put(files[1], path)
        wait_until(lambda: probabilities(predict(client)) != before)
        assert refused(client) == {}
        assert version_of(client, 1)["reason"] is None


def test_weights_that_are_found_damaged_when_they_are_read_are_refused_and_the_version_before_answers(
    home: Path, files: list[Path]
) -> None:
    write_not_finite(files[1], home / "models/tiny/2.safetensors")
    with serve(home) as client:
        assert predict(client)["version"] == 1
        assert "numbers that are not finite" in refused(client)["tiny/2.safetensors"]
        assert version_of(client, 2)["state"] == "refused"
        for answer in (
            client.post("/v1/predict?version=2", content=IMAGE, headers=PNG),
            client.put("/v1/models/tiny/default", json={"version": 2}),
        ):
            assert answer.status_code == 409
            assert "version 2 of model tiny is not served: " in answer.json()["detail"]
            assert str(home) not in answer.text
        assert client.delete("/v1/models/tiny/versions/2").status_code == 204
        assert refused(client) == {}


def write_not_finite(source: Path, target: Path) -> None:
    import safetensors.torch
    from safetensors import safe_open

    with safe_open(source, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        metadata = file.metadata()
    name = next(name for name, tensor in tensors.items() if tensor.dtype == torch.float32)
    tensors[name] = tensors[name] * float("nan")
    target.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(tensors, target, metadata)


def test_a_file_that_is_copied_slowly_into_its_place_is_served_once_it_is_whole(home: Path, files: list[Path]) -> None:
    path, data = home / "models/tiny/2.safetensors", files[1].read_bytes()
    with serve(home) as client:
        with open(path, "wb") as file:
            for start in range(0, len(data), len(data) // 5):
                file.write(data[start : start + len(data) // 5])
                file.flush()
                time.sleep(0.2)
                assert predict(client)["version"] == 1
        wait_until(lambda: predict(client)["version"] == 2)
        assert refused(client) == {}


def test_a_file_whose_size_is_right_before_its_bytes_are_is_not_read_before_it_stands_still(
    home: Path, files: list[Path]
) -> None:
    path, data = home / "models/tiny/2.safetensors", files[1].read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    with serve(home) as client:
        expected = None
        with open(path, "wb") as file:
            file.write(data[:header])
            file.truncate(len(data))
            file.flush()
            for start in range(header, len(data), len(data) // 4):
                time.sleep(0.2)
                assert predict(client)["version"] == 1
                file.write(data[start : start + len(data) // 4])
                file.flush()
        expected = probabilities(predict(client, "?version=2"))
        wait_until(lambda: predict(client)["version"] == 2)
        assert probabilities(predict(client)) == expected
        put(files[1], home / "models/same/1.safetensors")
        assert probabilities(predict(client, "?model=same")) == pytest.approx(expected, abs=1e-6)


def test_a_version_that_has_just_come_through_another_process_is_found_when_it_is_asked_for(
    home: Path, files: list[Path]
) -> None:
    with serve(home) as client:
        put(files[1], home / "models/tiny/7.safetensors")
        assert predict(client, "?version=7")["version"] == 7
        put(files[2], home / "models/new/1.safetensors")
        assert predict(client, "?model=new")["model"] == "new"
        start = time.monotonic()
        for query in ("?version=8", "?model=none", "?model=a/b", "?model=new&version=2"):
            assert client.post(f"/v1/predict{query}", content=IMAGE, headers=PNG).status_code == 404
        assert time.monotonic() - start < 1


def test_a_folder_that_is_not_there_yet_or_goes_and_comes_again_is_followed(tmp_path: Path, files: list[Path]) -> None:
    models = tmp_path / "home/models"
    with serve(tmp_path / "home") as client:
        assert client.get("/v1/models").json() == {"default_model": None, "models": [], "refused": []}
        for file in files[:2]:
            put(file, models / "tiny/1.safetensors")
            wait_until(lambda: client.get("/v1/models").json()["default_model"] == "tiny")
            wait_until(lambda: version_of(client, 1)["state"] == "loaded")
            predict(client)
            shutil.rmtree(models)
            wait_until(lambda: client.get("/v1/models").json()["models"] == [])
            assert client.post("/v1/predict", content=IMAGE, headers=PNG).status_code == 404


def test_thousands_of_events_do_not_keep_a_new_version_from_being_seen(home: Path, files: list[Path]) -> None:
    with serve(home) as client:
        for number in range(2000):
            (home / f"models/tiny/note{number}.txt").write_bytes(b"")
        put(files[1], home / "models/tiny/2.safetensors")
        wait_until(lambda: predict(client)["version"] == 2)


def test_the_default_version_can_be_chosen_by_hand_and_a_choice_that_is_none_is_named(
    home: Path, files: list[Path]
) -> None:
    put(files[1], home / "models/tiny/2.safetensors")
    choice = home / "models/tiny/default"
    choice.write_text("1\n")
    with serve(home) as client:
        assert predict(client)["version"] == 1
        assert client.get("/v1/models/tiny").json()["pinned_version"] == 1
        choice.write_text("first")
        wait_until(lambda: predict(client)["version"] == 2)
        assert refused(client) == {"tiny/default": "default must hold a version, 1, 2, 3 ..., got 'first'"}
        choice.write_text("9")  # the newest answers where there is no such version
        wait_until(lambda: refused(client) == {})
        assert predict(client)["version"] == 2


def test_the_default_version_is_chosen_and_the_choice_outlives_the_service(home: Path, files: list[Path]) -> None:
    put(files[1], home / "models/tiny/2.safetensors")
    with serve(home) as client:
        answer = client.put("/v1/models/tiny/default", json={"version": 1})
        assert answer.status_code == 200
        assert (answer.json()["default_version"], answer.json()["pinned_version"]) == (1, 1)
        assert [version["default"] for version in answer.json()["versions"]] == [True, False]
        assert predict(client)["version"] == 1
    with serve(home) as client:
        assert predict(client)["version"] == 1
        answer = client.put("/v1/models/tiny/default", json={"version": None})
        assert (answer.json()["default_version"], answer.json()["pinned_version"]) == (2, None)
        assert predict(client)["version"] == 2
        assert client.put("/v1/models/tiny/default", json={"version": 3}).status_code == 404
        for body in ({}, {"version": 0}, {"version": "x"}, {"version": 1, "more": 2}):
            assert client.put("/v1/models/tiny/default", json=body).status_code == 422


@pytest.mark.usefixtures("beside_the_loop")
def test_what_is_in_use_is_not_deleted(home: Path, files: list[Path]) -> None:
    put(files[1], home / "models/tiny/2.safetensors")
    put(files[1], home / "models/other/1.safetensors")
    app = create_app(Settings(home=home, default_model="tiny"))
    with TestClient(app) as client:
        store: ModelStore = app.state.models

        def conflict(path: str) -> str:
            answer = client.delete(f"/v1/models/{path}")
            assert answer.status_code == 409, answer.text
            return answer.json()["detail"]

        client.put("/v1/models/tiny/default", json={"version": 1})
        assert "default that was chosen" in conflict("tiny/versions/1")
        assert "default model of the service (STN_DEFAULT_MODEL)" in conflict("tiny")
        assert client.delete("/v1/models/tiny/versions/2").status_code == 204
        client.put("/v1/models/tiny/default", json={"version": None})
        assert "last one of the default model" in conflict("tiny/versions/1")

        served = store.find("other", 1)
        assert served is not None
        with ThreadPoolExecutor(1) as pool:
            with held_up(served):
                answer = pool.submit(predict, client, "?model=other")
                wait_until(lambda: served.predictor.unanswered > 0)
                assert "is predicting for 1 images: try again" in conflict("other")
                assert "is predicting for 1 images: try again" in conflict("other/versions/1")
            assert answer.result(10)["model"] == "other"
        assert client.delete("/v1/models/other").status_code == 204
        assert client.delete("/v1/models/other").status_code == 404
        assert predict(client)["model"] == "tiny"
        assert sorted(path.name for path in (home / "models").iterdir()) == ["tiny"]


def test_what_is_asked_again_and_again_is_not_deleted_between_two_turns(home: Path, files: list[Path]) -> None:
    put(files[1], home / "models/other/1.safetensors")
    stop = threading.Event()

    def ask(client: TestClient) -> None:
        while not stop.is_set():
            assert predict(client, "?model=other")["model"] == "other"

    with serve(home) as client, ThreadPoolExecutor(3) as pool:
        predict(client, "?model=other")
        asking = [pool.submit(ask, client) for _ in range(3)]
        try:
            statuses = [client.delete(f"/v1/models/other{path}").status_code for path in ("", "/versions/1") * 5]
        finally:
            stop.set()
            for done in asking:
                done.result(30)
        assert set(statuses) == {409}
        assert client.delete("/v1/models/other").status_code == 204


def test_deleting_the_version_that_answers_lets_the_next_one_answer(home: Path, files: list[Path]) -> None:
    put(files[1], home / "models/tiny/2.safetensors")
    (home / "models/tiny/notes.txt").write_text("somebody's own")
    with serve(home) as client:
        assert predict(client)["version"] == 2
        assert client.delete("/v1/models/tiny/versions/2").status_code == 204
        assert version_of(client, 1)["state"] == "loaded"
        assert predict(client)["version"] == 1
        assert client.delete("/v1/models/tiny/versions/2").status_code == 404
        assert client.delete("/v1/models/tiny/versions/1").status_code == 204
        assert client.get("/v1/models").json()["models"] == []
    assert [path.name for path in (home / "models/tiny").iterdir()] == ["notes.txt"]


def test_the_model_that_was_first_stays_the_default_when_its_first_version_goes(home: Path, files: list[Path]) -> None:
    put(files[1], home / "models/later/1.safetensors")
    put(files[2], home / "models/tiny/2.safetensors")
    with serve(home) as client:
        assert client.delete("/v1/models/tiny/versions/1").status_code == 204
        assert predict(client)["model"] == "tiny"
    put(files[2], home / "models/tiny/2.safetensors")
    with serve(home) as client:
        assert predict(client)["model"] == "tiny"


def test_a_write_protected_folder_is_a_conflict(home: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    put(files[1], home / "models/tiny/2.safetensors")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with serve(home) as client:
        monkeypatch.setattr(Path, "unlink", denied)
        answer = client.delete("/v1/models/tiny/versions/1")
        monkeypatch.undo()
        assert answer.status_code == 409
        assert answer.json()["detail"] == "the service may not write to its models folder"
        assert predict(client, "?version=1")["version"] == 1
