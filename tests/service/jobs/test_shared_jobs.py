"""Jobs of several machines on shared storage: workers with homes of their own, one database, and a real object store."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.datasets.shared import SharedDatasets
from service.datasets.store import open_datasets
from service.jobs.deleting import delete, sweep
from service.models.shelf import open_shelf
from service.settings import Settings
from tests.databases import end_with_parent
from tests.objects import Store, needs_store, object_store
from tests.service.jobs.driven import config, store_at
from tests.service.models.test_store import serve
from tests.training.jobs.workers import ended, submit, trainings, wait_for
from tests.training.runs import restless, same_weights, step_of, trained_apart
from training.jobs.states import Forbidden
from training.jobs.store import JobStore
from training.storage.places import FolderStorage, NotExclusive, StorageUnavailable, open_storage
from training.storage.runs import newest_state

EPOCHS = 8
"""Of ten steps each."""


@contextlib.contextmanager
def machine(home: Path, store: Store, database: str) -> Iterator[subprocess.Popen]:
    """`stn worker` with a home folder of its own; at the end of the block the machine is off, with all that runs on it."""
    home.mkdir(exist_ok=True)
    own = {"STN_HOME": str(home), "STN_STORAGE": store.url, "STN_DATABASE": database, "STN_GIVE_WAY": "false"}
    environment = {**os.environ, **own}
    with (home / "worker.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.commands.cli", "worker"],
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pid in trainings(home):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def published_step(store: Store, job: str, folder: Path) -> int:
    """Of the last checkpoint that the storage has; 0 where it has none."""
    storage = open_storage(store.url)
    time.sleep(0.2)
    with contextlib.suppress(FileNotFoundError, StorageUnavailable):  # on a busy machine it may be slow to answer
        state = newest_state(storage, job)
        key, size = (state and state.files.get("checkpoints/last.ckpt")) or ("", 0)
        if size:
            storage.fetch(key, folder / "published.ckpt", size)
            return step_of(folder / "published.ckpt")
    return 0


@pytest.mark.exhaustive
@needs_store
def test_a_run_goes_from_machine_to_machine_and_on_while_the_storage_is_gone(tmp_path: Path) -> None:
    """The first machine goes off in the middle, the storage while the second goes on from there and ends."""
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    whole = trained_apart(tmp_path / "whole", restless(EPOCHS))
    with contextlib.closing(JobStore(database)) as jobs, object_store() as store:
        first, second, web = (tmp_path / name for name in ("first", "second", "web"))
        job = submit(jobs, restless(EPOCHS))
        with machine(first, store, database):
            wait_for(lambda: published_step(store, job.id, tmp_path) >= 10)
        shutil.rmtree(first)
        with machine(second, store, database):
            run = second / "runs" / job.id
            wait_for(lambda: jobs.get(job.id).attempt > 1 and (run / "progress.json").is_file())
            store.door.shut()
            wait_for((run / "result.json").is_file)
            time.sleep(5)
            assert jobs.get(job.id).state == "running"
            store.door.open()
            done = ended(jobs, job)
        assert (done.state, done.model_version) == ("succeeded", 1), done.reason
        assert same_weights(whole, run)
        shelf = open_shelf(Settings(home=web, storage=store.url))
        assert shelf.versions(done.name) == [1]
        assert shelf.path(done.name, 1).read_bytes() == (run / "model.safetensors").read_bytes()
        shutil.rmtree(second)

        with serve(web, storage=store.url, database=database) as client:
            here = f"/v1/jobs/{job.id}"
            steps = [line["step"] for line in client.get(f"{here}/metrics").json()["metrics"]]
            assert steps == list(range(4, 10 * EPOCHS + 1, 4))
            paths = [entry["path"] for entry in client.get(f"{here}/artifacts").json()["artifacts"]]
            assert {"config.json", "model.safetensors", "report/index.html"} <= set(paths)
            assert client.get(f"{here}/artifacts/result.json").json()["status"] == "succeeded"
            assert client.get(f"{here}/logs?tail=1").text
            kept = {entry["name"]: entry["step"] for entry in client.get(f"{here}/checkpoints").json()["checkpoints"]}
            assert kept["last.ckpt"] == 10 * EPOCHS and kept["best.ckpt"] in steps
            assert client.get(here).json()["links"]["report"]
            assert client.delete(here).status_code == 204
            assert not open_storage(store.url).list("runs/")


def checked_set(folder: Path) -> Path:
    """What a checked upload has become."""
    (folder / "images" / "cat").mkdir(parents=True)
    (folder / "images" / "cat" / "1.png").write_bytes(b"picture")
    (folder / "sheet.png").write_bytes(b"sheet")
    (folder / "dataset.json").write_text(json.dumps({"name": "pets"}))
    return folder


def test_a_data_set_is_whole_where_it_is_read(tmp_path: Path) -> None:
    one, other = (Settings(home=tmp_path / name, storage=str(tmp_path / "mounted")) for name in ("one", "other"))
    (tmp_path / "mounted").mkdir()
    made = checked_set(tmp_path / "one" / "fetched" / "uploads" / "set")
    open_datasets(one).put(made, "pets")
    with pytest.raises(FileExistsError):
        open_datasets(one).put(made, "pets")
    there = open_datasets(other)
    assert [found.name for found in there.list()] == ["pets"]
    kept, found = there.keep("pets")
    assert [path.name for path in found.folder.rglob("*.png")] == ["1.png"]
    assert there.sheet(found) == b"sheet"
    assert kept.path in found.folder.parents
    there.remove(found, tmp_path / "aside")
    assert open_datasets(one).find("pets") is None
    assert not [path for path in (tmp_path / "mounted").rglob("*") if path.is_file()]


def test_a_data_set_whose_answer_was_lost_keeps_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has written set.json, its answer is cut off, and the library asks again: that is refused then."""
    (tmp_path / "mounted").mkdir()
    sets = open_datasets(Settings(home=tmp_path / "one", storage=str(tmp_path / "mounted")))
    put_new = FolderStorage.put_new

    def twice(storage: FolderStorage, key: str, source: Path) -> None:
        put_new(storage, key, source)
        put_new(storage, key, source)

    monkeypatch.setattr(FolderStorage, "put_new", twice)
    sets.put(checked_set(tmp_path / "one" / "fetched" / "uploads" / "set"), "pets")
    assert sets.keep("pets")[1].folder.is_dir()


def test_what_is_put_while_a_data_set_of_its_name_is_deleted_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounted").mkdir()
    sets = open_datasets(Settings(home=tmp_path / "one", storage=str(tmp_path / "mounted")))
    made = checked_set(tmp_path / "one" / "fetched" / "uploads" / "set")
    sets.put(made, "pets")
    delete = FolderStorage.delete

    def delete_and_put(storage: FolderStorage, key: str) -> None:
        monkeypatch.setattr(FolderStorage, "delete", delete)
        delete(storage, key)
        sets.put(made, "pets")

    monkeypatch.setattr(FolderStorage, "delete", delete_and_put)
    found = sets.find("pets")
    assert found is not None
    sets.remove(found, tmp_path / "aside")
    assert sets.keep("pets")[1].folder.is_dir()


def test_a_store_without_conditions_keeps_nothing_of_a_data_set_that_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounted").mkdir()
    sets = open_datasets(Settings(home=tmp_path / "one", storage=str(tmp_path / "mounted")))

    def refuse(storage: FolderStorage, key: str, source: Path) -> None:
        raise NotExclusive("it does not refuse")

    monkeypatch.setattr(FolderStorage, "put_new", refuse)
    with pytest.raises(NotExclusive):
        sets.put(checked_set(tmp_path / "one" / "fetched" / "uploads" / "set"), "pets")
    assert not [path for path in (tmp_path / "mounted").rglob("*") if path.is_file()]


def test_a_deletion_that_the_storage_does_not_hear_is_made_up_for_and_one_of_a_job_that_goes_on_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounted").mkdir()
    settings = Settings(home=tmp_path / "home", storage=str(tmp_path / "mounted"))
    with contextlib.closing(store_at(tmp_path / "home")) as jobs:
        first, second = (jobs.cancel(jobs.create(config())[0].id) for _ in range(2))
        storage = FolderStorage(tmp_path / "mounted")
        for job in (first, second):
            storage.write(f"runs/{job.id}/1/state.json", b'{"files": {}}')
        with monkeypatch.context() as patch:
            patch.setattr(
                jobs, "delete", lambda job: (storage.root.rename(tmp_path / "off"), JobStore.delete(jobs, job))
            )
            delete(jobs, first.id, settings)
        with pytest.raises(StorageUnavailable):
            delete(jobs, second.id, settings)
        (tmp_path / "off").rename(storage.root)
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "delete", lambda job: (jobs.resume(job), JobStore.delete(jobs, job)))
            with pytest.raises(Forbidden):
                delete(jobs, second.id, settings)
        assert [job.id for job in jobs.list()] == [second.id] and len(storage.list("runs/")) == 2
        sweep(jobs, settings)
        assert [*storage.list("runs/")] == [f"runs/{second.id}/1/state.json"]


def test_what_is_left_of_a_post_that_was_cut_off_is_deleted_a_day_later(tmp_path: Path) -> None:
    (tmp_path / "mounted" / "datasets").mkdir(parents=True)
    sets = SharedDatasets(Settings(home=tmp_path / "one", storage=str(tmp_path / "mounted")))
    sets.put(checked_set(tmp_path / "one" / "fetched" / "uploads" / "set"), "pets")
    (tmp_path / "file").write_bytes(b"pictures")
    for key in ("pets/left/pictures.zip", "birds/left/pictures.zip", "birds/left/.beside.1", "birds/new/sheet.png"):
        sets.storage.put(f"datasets/{key}", tmp_path / "file")
    before = time.time() - 2 * 86400
    for path in (tmp_path / "mounted").rglob("*"):
        if path.name != "sheet.png" or path.parent.name != "new":
            os.utime(path, (before, before))
    sets.sweep()
    assert [found.name for found in sets.list()] == ["pets"] and sets.keep("pets")[1].folder.is_dir()
    kept = sorted(path.parent.name for path in (tmp_path / "mounted").rglob("*") if path.is_file())
    assert kept == sorted(["new", "pets", *[json.loads(sets.storage.read("datasets/pets/set.json"))["place"]] * 2])
    sets.storage.root.rename(tmp_path / "off")
    sets.sweep()  # tells the log
