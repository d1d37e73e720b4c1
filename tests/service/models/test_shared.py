"""Models on shared storage: two services of two machines, a real object store, and the store gone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.models.shelf import open_shelf
from service.settings import Settings
from tests.objects import needs_store, object_store
from tests.service.conftest import write_model
from tests.service.models.test_store import predict, serve, version_of, wait_until
from training.storage.cache import Cache
from training.storage.objects import ObjectStorage
from training.storage.places import FolderStorage, NotExclusive, StorageUnavailable, open_storage


def body(seed: int, folder: Path) -> bytes:
    write_model(folder / f"{seed}.safetensors", seed=seed)
    return (folder / f"{seed}.safetensors").read_bytes()


def upload(client, data: bytes, name: str = "tiny"):
    return client.post(f"/v1/models?name={name}", content=data, headers={"Content-Type": "application/octet-stream"})


@pytest.mark.slow
@needs_store
def test_services_share_models_and_go_on_while_the_storage_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.models.shared.PERIOD", 0.2)
    first, second, third = (body(seed, tmp_path) for seed in range(3))
    with object_store() as store:
        one, other = ({"home": tmp_path / name, "storage": store.url} for name in ("one", "other"))
        with serve(**one) as here, serve(**other) as there:
            assert upload(here, first).status_code == 201
            assert predict(there, "?model=tiny") == predict(here, "?model=tiny")  # fetched when it was asked for

            with ThreadPoolExecutor() as both:  # the same number is wanted by two at once
                answers = list(both.map(upload, (here, there), (second, third)))
            assert [answer.status_code for answer in answers] == [201, 201]
            assert sorted(answer.json()["version"] for answer in answers) == [2, 3]
            for client, answer, data in zip((there, here), answers, (second, third), strict=True):
                version = answer.json()["version"]
                assert open_storage(store.url).read(f"models/tiny/{version}.safetensors") == data
                assert predict(client, f"?model=tiny&version={version}")["version"] == version

            with ThreadPoolExecutor() as both:  # the same file is given to two at once
                answers = list(both.map(upload, (here, there), (first, first), ("twin", "twin")))
            assert sorted(answer.status_code for answer in answers) == [200, 201]
            assert here.put("/v1/models/tiny/default", json={"version": 1}).status_code == 200
            wait_until(lambda: predict(there, "?model=tiny")["version"] == 1)
            assert upload(here, second, "later").status_code == 201

            store.door.shut()
            assert predict(here, "?model=tiny")["version"] == predict(there, "?model=tiny")["version"] == 1
            assert here.get("/v2/health/ready").json() == {"ready": True}
            for answer in (
                upload(here, third, "fresh"),
                here.get("/v1/models/nowhere"),
                here.delete("/v1/models/twin"),
            ):
                assert answer.status_code == 503, answer.text
                assert "storage" in answer.json()["detail"] and answer.headers["Retry-After"]
        with serve(**one) as again:  # a start without the storage: from what is here
            assert predict(again, "?model=tiny")["version"] == 1
            assert again.get("/v2/health/ready").json() == {"ready": True}
            store.door.open()
            wait_until(lambda: upload(again, third, "fresh").status_code in (200, 201))
            assert again.delete("/v1/models/twin").status_code == 204
            assert version_of(again, 1, "fresh")["state"] == "loaded"
        assert sorted(open_storage(store.url).list("models/")) == [
            "models/fresh/1.safetensors",
            "models/later/1.safetensors",
            *(f"models/tiny/{name}" for name in ("1.safetensors", "2.safetensors", "3.safetensors", "default")),
        ]


def test_a_mounted_folder_is_a_storage_and_one_that_came_off_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    settings = Settings(home=tmp_path / "home", storage=str(tmp_path / "mounted"))
    body(0, tmp_path)
    shelf = open_shelf(settings)
    assert [shelf.register_once("tiny", tmp_path / "0.safetensors") for _ in range(2)] == [1, 1]
    shelf.choose("tiny", 1)
    catalogue = shelf.scan()
    assert catalogue.pins == {"tiny": 1}
    assert not catalogue.refused()
    shelf.remove_version("tiny", 1)
    assert not shelf.scan().models
    assert list((tmp_path / "mounted").iterdir()) == []
    (tmp_path / "mounted").rmdir()
    with pytest.raises(StorageUnavailable, match="is not there"):
        shelf.register_once("tiny", tmp_path / "0.safetensors")
    assert not (tmp_path / "mounted").exists()


def test_one_of_many_gets_a_new_key_and_nobody_reads_half_of_one(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    sources = [tmp_path / f"source-{number}" for number in range(8)]
    for number, source in enumerate(sources):
        source.write_bytes(bytes([number]) * 2**20)
    seen: list[bytes] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            for key in storage.list("keys/"):
                seen.append(storage.read(key))

    def put(source: Path) -> bool:
        try:
            storage.put_new("keys/one", source)
        except FileExistsError:
            return False
        return True

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor() as many:
        won = list(many.map(put, sources))
    stop.set()
    reader.join()
    assert won.count(True) == 1
    assert {*seen, storage.read("keys/one")} == {sources[won.index(True)].read_bytes()}


def test_a_store_without_conditional_writes_registers_nothing(tmp_path: Path) -> None:
    """fsspec's own for files takes the condition and does not look at it."""
    (tmp_path / "file").write_bytes(b"bytes")
    (tmp_path / "place").mkdir()
    storage = ObjectStorage(f"local://{tmp_path}/place")
    with pytest.raises(NotExclusive, match="does not refuse to write what is there"):
        storage.put_new("models/tiny/1.safetensors", tmp_path / "file")
    assert not storage.list("models/")


def test_what_was_used_least_recently_makes_room_and_what_is_kept_never_does(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_bytes=250)

    def keep(name: str):
        return cache.keep(f"models/{name}", 100, lambda path: path.write_bytes(bytes(100)))

    kept = keep("a")
    for name in "bc":
        keep(name).release()
    assert [path.name for path in sorted(tmp_path.rglob("?"))] == ["a", "c"]
    del kept
    keep("d").release()
    assert [path.name for path in sorted(tmp_path.rglob("?"))] == ["c", "d"]
