"""What a machine publishes of a run is, on another one, a state that there was."""

import threading
from pathlib import Path

import pytest

from stn.whole_file import written_beside
from training.attempts import Fenced, own
from training.storage.places import FolderStorage, StorageUnavailable
from training.storage.runs import Publisher, content, forget, look, newest_state, own_content, restore


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    (tmp_path / "mounted").mkdir()
    return FolderStorage(tmp_path / "mounted")


def step(run: Path, number: int) -> None:
    """As a training does: the line is there before the checkpoint that knows of it."""
    with (run / "metrics.jsonl").open("a") as file:
        file.write(f"{number}\n")
    with written_beside(run / "checkpoints" / "last.ckpt") as beside:
        beside.write_text(str(number))


def begun(run: Path, attempt: int = 1) -> Path:
    (run / "checkpoints").mkdir(parents=True)
    (run / "attempt.json").write_text("{}")
    (run / "tensorboard").mkdir()
    (run / "tensorboard" / "events").write_text("numbers")
    own_content(run, attempt)
    step(run, 1)
    return run


def last(run: Path) -> int:
    return int((run / "checkpoints" / "last.ckpt").read_text())


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_run_goes_on_elsewhere_from_what_was_published_and_the_first_machine_is_fenced(
    storage: FolderStorage, tmp_path: Path
) -> None:
    here, there, web = begun(tmp_path / "here"), tmp_path / "there", tmp_path / "web"
    first = Publisher(storage, "job", here, 1)
    first.publish()
    step(here, 2)
    first.publish()
    step(here, 3)  # which nobody else will know of
    restore(storage, "job", there, 2)
    assert (last(there), content(there)) == (2, 2)
    assert files(there) == [".content", "checkpoints/last.ckpt", "metrics.jsonl"]
    assert there.stat().st_mode == here.stat().st_mode
    second = Publisher(storage, "job", there, 2)
    step(there, 30)
    second.publish()
    with pytest.raises(Fenced, match="attempt 2 has published"):
        first.publish()
    assert not [key for key in storage.list("runs/job/") if key.startswith("runs/job/1/")]
    assert len(storage.list("runs/job/")) == 3  # and nothing that was replaced

    restore(storage, "job", here, 3)  # the job comes back to the first machine
    assert (last(here), content(here)) == (30, 3)
    (tmp_path / "other").mkdir()
    own(tmp_path / "other", 4)
    with pytest.raises(Fenced, match="attempt 4 has the run folder"):
        restore(storage, "job", tmp_path / "other", 3)  # by a worker that stood still and wakes
    assert files(tmp_path / "other") == [".owner", "attempt.json"]
    assert not [*tmp_path.glob(".*")]  # neither of that nor of what lay there before
    second.publish(whole=True)
    look(storage, "job", web)
    assert files(web) == [".state.json", "metrics.jsonl"]
    assert (web / "metrics.jsonl").read_text() == "1\n2\n30\n"
    forget(storage, "job")
    assert newest_state(storage, "job") is None


def test_a_restart_on_the_same_machine_goes_on_from_its_own_disk(storage: FolderStorage, tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    Publisher(storage, "job", run, 1).publish()
    step(run, 5)
    storage.root.rename(tmp_path / "away")  # it need not even be asked
    restore(storage, "job", run, 2)
    assert (last(run), content(run)) == (5, 2)
    with pytest.raises(StorageUnavailable):
        restore(storage, "job", tmp_path / "other", 3)
    assert not (tmp_path / "other").exists()
    publisher = Publisher(storage, "job", run, 2)
    with pytest.raises(StorageUnavailable):
        publisher.publish(whole=True)
    (tmp_path / "away").rename(storage.root)
    publisher.publish(whole=True)
    restore(storage, "job", tmp_path / "other", 3)
    assert last(tmp_path / "other") == 5
    assert (tmp_path / "other" / "tensorboard" / "events").read_text() == "numbers"


def test_whatever_is_published_while_a_training_writes_is_a_state_that_there_was(
    storage: FolderStorage, tmp_path: Path
) -> None:
    run, stop = begun(tmp_path / "run"), threading.Event()

    def train() -> None:
        number = 1
        while not stop.is_set():
            number += 1
            step(run, number)

    training = threading.Thread(target=train)
    training.start()
    publisher, reached = Publisher(storage, "job", run, 1), []
    try:
        for number in range(20):
            publisher.publish()
            restore(storage, "job", tmp_path / str(number), 2)
            lines = (tmp_path / str(number) / "metrics.jsonl").read_text().splitlines()
            reached.append(last(tmp_path / str(number)))
            assert [*map(int, lines)] == [*range(1, len(lines) + 1)]
            assert len(lines) >= reached[-1]
    finally:
        stop.set()
        training.join()
    assert reached == sorted(reached)
    assert reached[-1] > 1
