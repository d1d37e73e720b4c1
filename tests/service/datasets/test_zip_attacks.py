"""Zip files that are made to do harm: each is refused as a whole, before it is unpacked."""

import io
import stat
import struct
import time
import tracemalloc
import zipfile
import zlib

import pytest

from service.datasets.refusals import RefusedUpload
from tests.service.datasets.conftest import Check
from tests.service.datasets.zips import (
    PICTURES,
    changed,
    closed,
    good,
    link,
    local_of,
    record_of,
    with_entry,
    zipped,
)

ZEROS = bytes(2**20)


def bomb(mebibytes: int) -> bytes:
    """A set with a file that is a thousand times larger than what it is packed in."""
    file = io.BytesIO(zipped(good()))
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("cat/large.bmp", "w") as entry,
    ):
        for _ in range(mebibytes):
            entry.write(ZEROS)
    return file.getvalue()


def overlapping() -> bytes:
    """Two records of the same bytes."""
    data = PICTURES[0]
    body = local_of(b"cat/1.png", len(data), len(data), zlib.crc32(data)) + data
    record = record_of(b"cat/1.png", len(data), len(data), 0, zlib.crc32(data))
    return closed(body, record * 2, 2)


def quoted(count: int = 200) -> bytes:
    """Each file's data are a stored block that holds the next file's header, and so on to one kernel that all share.

    Source: David Fifield, "A better zip bomb" (2019).
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packer.compress(ZEROS) + packer.flush()
    tails, data, size = [], kernel, len(ZEROS)
    for number in reversed(range(count)):
        name = b"%04d.png" % number
        head = local_of(name, size, len(data), 0, 8)
        tails.append((name, size, len(data), len(head) + len(data)))
        quote = struct.pack("<BHH", 0, len(head), len(head) ^ 0xFFFF)
        data, size = quote + head + data, size + len(head)
    body = data[5:]  # the first header is quoted by nobody
    records = [record_of(name, size, packed, len(body) - tail, 0, 8) for name, size, packed, tail in tails]
    return closed(body, b"".join(records), count)


def over_the_directory() -> bytes:
    data = zipped(good(), zipfile.ZIP_STORED)
    return changed(data, "dog/2.png", packed=10_000, size=10_000)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: bomb(300), "times its size, as a zip bomb does"),
        (overlapping, "lies over another file, as in a zip bomb"),
        (quoted, "lies over another file, as in a zip bomb"),
        (over_the_directory, "lies over the directory, as in a zip bomb"),
        (lambda: with_entry("../escape.png"), "has empty or dotted parts"),
        (lambda: with_entry("cat/../../escape.png"), "has empty or dotted parts"),
        (lambda: with_entry("./cat/9.png"), "has empty or dotted parts"),
        (lambda: with_entry("cat//9.png"), "has empty or dotted parts"),
        (lambda: with_entry(""), "has empty or dotted parts"),
        (lambda: with_entry("/etc/cron.d/9.png"), "is absolute"),
        (lambda: with_entry("C:/windows/9.png"), "is absolute"),
        (lambda: with_entry("cat\\9.png"), "has a backslash or NUL in it"),
        (lambda: with_entry("cat/9.png\0.txt"), "has a backslash or NUL in it"),
        (lambda: with_entry("c" * 2000 + ".png"), "a name of 2,004 bytes"),
        (link, "'cat/9.png' is a link"),
        (lambda: with_entry("cat/pipe", b"", stat.S_IFIFO), "is neither a file nor a folder"),
        (lambda: with_entry("cat/disk", b"", stat.S_IFBLK), "is neither a file nor a folder"),
        (lambda: with_entry("cat/", b"bytes"), "is a folder that holds bytes"),
        (lambda: changed(zipped(good()), "cat/1.png", flags=1), "'cat/1.png' is encrypted"),
        (lambda: with_entry("__MACOSX/../../9.png"), "has empty or dotted parts"),
        (lambda: b"PK\5\6" + bytes(18), "holds no pictures, such as"),
        (lambda: b"", "neither a zip file nor an .npz file"),
        (lambda: b"\x1f\x8b" + bytes(1000), "neither a zip file nor an .npz file"),
        (lambda: zipped(good())[:-1], "neither a zip file nor an .npz file"),
        (lambda: zipped(good()) + b"more", "something follows its end"),
        (lambda: b"more" + zipped(good()), "its directory is not where it should be"),
        (lambda: changed(zipped(good()), "cat/0.png", start=3), "nothing lies where 'cat/0.png' should"),
        (
            lambda: zipped(good()).replace(b"cat/1.png", b"cat/8.png", 1),
            "two descriptions of 'cat/1.png', which differ",
        ),
        (lambda: changed(zipped(good()), "cat/1.png", packed=0xFFFFFFFF), "the sizes of 'cat/1.png' are missing"),
    ],
)
def test_it_is_refused_and_nothing_of_it_is_unpacked(checked: Check, make, reason: str) -> None:
    data = make()
    started = time.process_time()
    with pytest.raises(RefusedUpload) as refusal:
        checked(data)
    assert reason in str(refusal.value)
    assert time.process_time() - started < 2


def test_a_million_entries_are_refused_before_they_are_read(checked: Check) -> None:
    data = closed(b"", record_of(b"cat/1.png", 0, 0, 0) * 1_000_000, 0)
    tracemalloc.start()
    with pytest.raises(RefusedUpload, match="it has more than 3,000 entries"):
        checked(data)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < len(data) + 2**22  # the test's own bytes, and little more


def test_a_file_that_unpacks_to_more_than_it_says_ends_the_check(checked: Check) -> None:
    data = changed(bomb(20), "cat/large.bmp", size=1000)
    with pytest.raises(RefusedUpload, match="'cat/large.bmp' unpacks to more than the 1,000 bytes it is said to have"):
        checked(data)


def test_what_unpacks_to_more_bytes_than_are_allowed_is_refused(checked: Check) -> None:
    size = sum(map(len, good().values()))
    with pytest.raises(RefusedUpload, match=f"it unpacks to {size:,} bytes; {size - 1:,} may be"):
        checked(zipped(good()), max_unpacked_bytes=size - 1)


def test_more_files_than_pictures_are_allowed_are_refused(checked: Check) -> None:
    with pytest.raises(RefusedUpload, match="it holds 6 files; 5 may be"):
        checked(zipped(good()), max_images=5)


def test_a_picture_that_says_it_has_billions_of_pixels_is_refused_alone(checked: Check) -> None:
    header = struct.pack(">2L5B", 60_000, 60_000, 8, 6, 0, 0, 0)
    chunk = struct.pack(">L", 13) + b"IHDR" + header + struct.pack(">L", zlib.crc32(b"IHDR" + header))
    found = checked(zipped({**good(), "cat/large.png": b"\x89PNG\r\n\x1a\n" + chunk}))
    assert found.reasons == {"cat/large.png": "the image must have at most 89,478,485 pixels, got 60000 x 60000"}


def test_nothing_is_written_outside_whatever_the_names_are(checked: Check, tmp_path) -> None:
    with pytest.raises(RefusedUpload):
        checked(with_entry("../../escaped.png", PICTURES[0]))
    assert [path.name for path in tmp_path.parent.rglob("escaped*")] == []
