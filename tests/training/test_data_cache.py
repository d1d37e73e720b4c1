import json
import logging
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.picture_sets import picture, read, write_folder
from training.data.decoded import Decoded, Source, decode_once, key_of


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """40 pictures in colour, and two files that are none."""
    root = tmp_path / "pictures"
    write_folder(root, {"cat": 20, "dog": 20}, "RGB", (30, 20))
    (root / "cat" / "bad.png").write_text("hello")
    (root / "dog" / "bad.png").write_bytes(b"")
    return root


def test_a_streamed_set_equals_the_one_in_memory(pictures: Path) -> None:
    held, streamed = read(pictures), read(pictures, memory=0.0)
    assert not (pictures / ".stn-cache").exists() or held.images.shape == (40, 3, 30, 20)
    assert torch.equal(held.images, streamed.images)
    for first, second in zip(held[1:4], streamed[1:4], strict=True):
        assert torch.equal(torch.as_tensor(first), torch.as_tensor(second))
    assert held.class_names == streamed.class_names
    assert torch.equal(held.images[held.test], streamed.images[streamed.test])


def test_a_set_within_memory_writes_nothing(pictures: Path) -> None:
    read(pictures)
    assert not (pictures / ".stn-cache").exists()


def test_the_budget_is_of_decoded_bytes(pictures: Path) -> None:
    size = 42 * 3 * 30 * 20  # of all files, before it is known which are readable
    read(pictures, memory=size / 2**30)
    assert not (pictures / ".stn-cache").exists()
    read(pictures, memory=(size - 1) / 2**30)
    assert (pictures / ".stn-cache").exists()


def test_the_second_run_reads_the_cache_and_names_the_corrupt_again(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = read(pictures, memory=0.0)
    caplog.clear()
    monkeypatch.setattr("training.data.picture_files._prepare", lambda *_: pytest.fail("it is decoded again"))
    with caplog.at_level(logging.INFO, "training"):
        second = read(pictures, memory=0.0)
    assert torch.equal(first.images, second.images)
    assert "the decoded pictures are read from" in caplog.text
    assert "cat/bad.png: the image must be one of" in caplog.text
    assert "dog/bad.png: the file is empty" in caplog.text


def test_a_cached_set_that_fits_into_memory_is_read_into_it(pictures: Path) -> None:
    streamed, held = read(pictures, memory=0.0), read(pictures)
    (file,) = (pictures / ".stn-cache").glob("*.images")
    file.write_bytes(bytes(file.stat().st_size))
    assert streamed.images.max() == 0  # mapped
    assert held.images.max() > 0


def test_the_cache_may_lie_elsewhere(pictures: Path, tmp_path: Path) -> None:
    read(pictures, memory=0.0, cache=str(tmp_path / "deep" / "cache"))
    assert not (pictures / ".stn-cache").exists()
    assert [name.split(".")[-1] for name in files_in(tmp_path / "deep" / "cache")] == ["images", "json"]


def keys(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.images")}


def test_the_key_changes_with_a_file_and_with_what_decides_the_pixels(pictures: Path) -> None:
    cache = pictures / ".stn-cache"
    read(pictures, memory=0.0)
    assert len(keys(cache)) == 1
    read(pictures, memory=0.0, test=0.4, validation=0.3)  # which the pixels do not depend on
    assert len(keys(cache)) == 1
    for count, fields in enumerate(
        ({"size": (9, 9)}, {"size": (9, 9), "fit": "crop"}, {"size": (9, 9), "channels": "grey"}), 2
    ):
        read(pictures, memory=0.0, **fields)
        assert len(keys(cache)) == count
    path = pictures / "cat" / "0.png"
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    read(pictures, memory=0.0)
    assert len(keys(cache)) == 5
    picture(30, 20, 77, "RGB").save(path)
    assert torch.equal(read(pictures, memory=0.0).images, read(pictures, memory=0.0).images)
    assert len(keys(cache)) == 6
    (pictures / "cat" / "1.png").rename(pictures / "cat" / "100.png")
    read(pictures, memory=0.0)
    assert len(keys(cache)) == 7


def test_texts_that_join_to_the_same_have_different_keys() -> None:
    assert key_of(["ab", "c"]) != key_of(["a", "bc"])


def source(count: int, fail_after: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> Source:
    """Images of 3x4x5 bytes, of which the reading breaks off after some."""

    def blocks() -> Iterator[Decoded]:
        for number in range(count):
            if number == fail_after:
                raise error
            yield Decoded(torch.full((1, 3, 4, 5), number, dtype=torch.uint8), {})

    return Source(count, (3, 4, 5), blocks())


def test_an_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        decode_once("k", tmp_path / "cache", 0.0, lambda: source(10, 5))
    assert files_in(tmp_path) == []


def test_images_whose_description_cannot_be_written_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError("no room")

    monkeypatch.setattr("training.data.decoded.json.dumps", fail)
    with pytest.raises(ValueError, match=r"data.cache must be .*\(no room\)"):
        decode_once("k", tmp_path / "cache", 0.0, lambda: source(10))
    assert files_in(tmp_path) == []


def test_images_without_their_description_are_not_used(tmp_path: Path) -> None:
    decode_once("k", tmp_path, 0.0, lambda: source(10))
    (tmp_path / "k.json").unlink()
    (tmp_path / "k.images").write_bytes(bytes(600))
    assert decode_once("k", tmp_path, 0.0, lambda: source(10)).images[9].unique().tolist() == [9]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"shape": [10, 3, 4]}', '{"shape": [9, 3, 4, 5], "unreadable": {}}'])
def test_a_damaged_description_is_not_used(tmp_path: Path, text: str) -> None:
    decode_once("k", tmp_path, 0.0, lambda: source(10))
    (tmp_path / "k.json").write_text(text)
    assert len(decode_once("k", tmp_path, 0.0, lambda: source(10)).images) == 10
    assert json.loads((tmp_path / "k.json").read_text())["shape"] == [10, 3, 4, 5]


def test_images_cut_short_are_not_used(tmp_path: Path) -> None:
    decode_once("k", tmp_path, 0.0, lambda: source(10))
    os.truncate(tmp_path / "k.images", 599)
    assert decode_once("k", tmp_path, 0.0, lambda: source(10)).images[9].unique().tolist() == [9]


KILLED = """
import sys, time, torch
from pathlib import Path
from training.data.decoded import Decoded, Source, decode_once
def blocks():
    for number in range(10):
        yield Decoded(torch.zeros(1, 3, 400, 500, dtype=torch.uint8), {})
        if number == 5:
            print("half", flush=True)
            time.sleep(60)
decode_once("k", Path(sys.argv[1]), 0.0, lambda: Source(10, (3, 400, 500), blocks()))
"""


def test_what_a_killed_process_wrote_is_not_used_and_cleared_away(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert any(name.startswith(".k.images.") for name in files_in(tmp_path))
    assert decode_once("k", tmp_path, 0.0, lambda: source(10)).images[9].unique().tolist() == [9]
    assert files_in(tmp_path) == ["k.images", "k.json"]


@pytest.mark.slow
def test_sets_that_nobody_reads_are_deleted_when_another_is_written(tmp_path: Path) -> None:
    kept, old = key_of(["kept"]), key_of(["old"])
    source = Source(2, (1, 4, 4), [Decoded(torch.ones(2, 1, 4, 4, dtype=torch.uint8), {})])
    for key in (kept, old):
        decode_once(key, tmp_path, 0.0, lambda: source)
    mapped = decode_once(old, tmp_path, 0.0, lambda: source)
    others = tmp_path / "notes.json"
    others.write_text("{}")
    month = time.time() - 31 * 24 * 3600
    for path in (*tmp_path.glob("*.json"), *tmp_path.glob("*.images")):
        os.utime(path, (month, month))
    decode_once(kept, tmp_path, 0.0, lambda: pytest.fail("it is decoded again"))  # and so is read
    decode_once(key_of(["new"]), tmp_path, 0.0, lambda: source)
    assert not [name for name in files_in(tmp_path) if name.startswith(old)]
    assert len(files_in(tmp_path)) == 5
    assert others.exists()
    assert mapped.images.min() == 1  # a run that still reads it goes on


def test_a_second_process_waits_and_uses_what_the_first_wrote(tmp_path: Path) -> None:
    code = KILLED.replace("time.sleep(60)", "time.sleep(2)")
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    start = time.monotonic()
    found = decode_once("k", tmp_path, 0.0, lambda: source(10, 0))  # which would break off at once
    assert time.monotonic() - start > 1
    assert process.wait() == 0
    process.stdout.close()
    assert found.images.shape == (10, 3, 400, 500)
    assert files_in(tmp_path) == ["k.images", "k.json"]


def test_a_place_that_cannot_be_written_is_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"data.cache must be a folder that can be written to, .*, got '.*file/cache'"):
        read(pictures, memory=0.0, cache=str(tmp_path / "file" / "cache"))
    assert files_in(tmp_path) == ["file", "pictures"]


def test_a_disk_that_is_full_on_the_way_is_refused_and_nothing_is_left(pictures: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # of 72,000 bytes
    try:
        with pytest.raises(ValueError, match=r"data.cache must be a folder .* GiB free .*got '.*' \(File too large\)"):
            read(pictures, memory=0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (pictures / ".stn-cache").exists()


def test_a_disk_without_room_is_refused_before_anything_is_decoded(
    tmp_path: Path,
) -> None:
    huge = Source(10**9, (3, 1000, 1000), iter(()))
    with pytest.raises(ValueError, match=r"with 2.79e\+06 GiB free for the decoded pictures .* GiB are free\)"):
        decode_once("k", tmp_path / "cache", 0.0, lambda: huge)
    assert files_in(tmp_path) == []


def test_a_cache_in_a_place_that_is_only_read_is_used(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(pictures, memory=0.0)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert torch.equal(read(pictures, memory=0.0).images, first.images)


@pytest.mark.parametrize("writable", [True, False])
def test_a_set_larger_than_the_memory_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    decode_once("k", tmp_path, 0.0, lambda: source(1))
    shape = [349_525, 3, 1024, 1024]  # a TiB, that takes no room on the disk
    os.truncate(tmp_path / "k.images", 0)
    os.truncate(tmp_path / "k.images", math.prod(shape))
    (tmp_path / "k.json").write_text(json.dumps({"shape": shape, "unreadable": {}}))
    monkeypatch.setattr(os, "access", lambda *_: writable)
    images = decode_once("k", tmp_path, 0.0, lambda: source(1)).images
    assert images[torch.tensor([0, 349_524])].max() == 0
