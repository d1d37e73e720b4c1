"""A folder that several processes write, and copies of what lies there on a disk that is full."""

import contextlib
import os
import resource
import threading
from pathlib import Path

import pytest

from training.storage.places import FolderStorage, StorageUnavailable


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    (tmp_path / "mounted").mkdir()
    return FolderStorage(tmp_path / "mounted")


def test_a_key_finds_its_place_while_others_remove_the_folder_that_is_empty(
    storage: FolderStorage, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                os.rmdir(storage.root / "keys" / "of")
                os.rmdir(storage.root / "keys")

    removing = [threading.Thread(target=remove) for _ in range(2)]
    for thread in removing:
        thread.start()
    try:
        for _ in range(100):
            storage.put("keys/of/one", tmp_path / "file")
            storage.delete("keys/of/one")
    finally:
        stop.set()
        for thread in removing:
            thread.join()
    assert not storage.list("keys/")


def test_a_full_disk_of_this_machine_is_no_silence_of_the_storage(storage: FolderStorage, tmp_path: Path) -> None:
    storage.write("key", bytes(2000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"too large: .*copy'") as found:
            storage.fetch("key", tmp_path / "copy", 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not isinstance(found.value, StorageUnavailable)
    assert [path.name for path in tmp_path.iterdir()] == ["mounted"]
