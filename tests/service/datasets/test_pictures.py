"""What is taken of a zip file of pictures, and what is left out with which reason."""

import errno
import io
import shutil
import stat
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from service.datasets.refusals import RefusedUpload
from tests.service.conftest import encode, picture
from tests.service.datasets.conftest import Check
from tests.service.datasets.zips import PICTURES, changed, good, zipped
from training.config import DataConfig, TrainingConfig
from training.data import DATASETS
from training.data.datamodule import DataModule
from training.fit import check_data_for


def test_the_pictures_are_kept_as_they_are_and_training_reads_them(checked: Check) -> None:
    found = checked(zipped(good(4)))
    assert found.files == sorted(good(4))
    assert (found.folder / "images/cat/1.png").read_bytes() == PICTURES[1]
    report = found.report
    assert (report.name, report.kind, report.images, report.classes) == ("photos", "folder", 8, {"cat": 4, "dog": 4})
    assert (report.smallest, report.largest, report.channels) == ((7, 6), (7, 9), "grey")
    assert report.bytes == sum(map(len, good(4).values()))
    assert (report.refused, report.refused_count, report.ignored_count, report.test_images) == ([], 0, 0, None)
    data = DATASETS["folder"](DataConfig(name="folder", root=str(found.folder / "images"), size=(8, 8)))
    assert data.class_names == ("cat", "dog")
    assert data.labels.bincount().tolist() == [4, 4]


@pytest.mark.parametrize("around", ["photos/", "a/b c/", "cat/"])
def test_folders_around_the_class_folders_are_taken_off(checked: Check, around: str) -> None:
    assert checked(zipped(good(around=around))).files == sorted(good())


def test_folders_for_training_and_for_the_test_stay(checked: Check) -> None:
    found = checked(zipped({**good(4, "set/train/"), **good(2, "set/test/")}))
    assert found.files == sorted({**good(4, "train/"), **good(2, "test/")})
    assert (found.report.classes, found.report.test_images) == ({"cat": 6, "dog": 6}, 4)
    data = DATASETS["folder"](DataConfig(name="folder", root=str(found.folder / "images"), size=(8, 8)))
    assert (len(data.train), len(data.test)) == (8, 4)


@pytest.mark.parametrize(("around", "class_name"), [("", "pictures"), ("photos/", "photos"), ("a/photos/", "photos")])
def test_pictures_alone_are_one_class_that_an_aligner_is_trained_on(
    checked: Check, around: str, class_name: str
) -> None:
    files = {f"{around}{number}.png": PICTURES[number % 4] for number in range(5)}
    found = checked(zipped({**files, f"{around}notes.txt": b"x", f"{around}.DS_Store": b"x"}))
    assert found.report.classes == {class_name: 5}
    assert list(found.reasons) == [f"{around}notes.txt"]
    data = DataConfig(name="folder", root=str(found.folder / "images"), size=(8, 8))
    config = TrainingConfig(name="laid", task="align", data=data)
    module = DataModule(config)
    check_data_for(config, module)
    assert module.class_names == (class_name,)
    with Image.open(found.folder / "sheet.png") as sheet:
        assert sheet.size == (190 + 5 * 68, 4 + 68)


def test_what_systems_leave_in_folders_is_left_out(checked: Check) -> None:
    litter = ["__MACOSX/cat/._1.png", ".DS_Store", "cat/Thumbs.db", "cat/desktop.ini", ".git/config", "cat/.hidden.png"]
    found = checked(zipped({**good(), **dict.fromkeys(litter, b"x")}))
    assert found.files == sorted(good())
    assert (found.report.ignored_count, found.report.refused_count) == (len(litter), 0)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("cat/empty.png", b"", "the file is empty"),
        ("cat/text.png", b"text", "the image must be one of PNG, JPEG, WEBP, GIF, BMP, TIFF; these bytes are none"),
        ("cat/cut.png", PICTURES[0][:-40], "the image is damaged or incomplete"),
        ("cat/deep.tif", encode(Image.new("F", (6, 6)), "TIFF"), "pixels of 1, 8 or 16 bits, these are floating-point"),
        ("cat/vector.svg", b"<svg/>", "it does not end as a picture does (.png, .jpg"),
        ("cat/notes.txt", b"x", "it does not end as a picture does (.png, .jpg"),
        ("cat/eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "these bytes are none of them"),
        ("cat/more.zip", zipped(good()), "it is an archive inside of the archive, which is not opened"),
        ("cat/more.tar.gz", b"x", "it is an archive inside of the archive, which is not opened"),
        ("cat/zip.png", zipped(good()), "these bytes are none of them"),
        ("loose.png", PICTURES[0], "it lies in no class folder"),
        ("cat/inner/1.png", PICTURES[0], "it lies in a folder inside of a class folder"),
        ("cat/1.PNG", PICTURES[0], "its name is that of 'cat/1.png' on some systems"),
        ("cat/con.png", PICTURES[0], "its name is that of a device on Windows"),
        ("cat/what?.png", PICTURES[0], "its name has one of the characters"),
        ("cat/ 7.png", PICTURES[0], "its name begins or ends with a space"),
        ("cat/a\tb.png", PICTURES[0], "its name has characters that cannot be printed"),
        ("cat/" + "x" * 220 + ".png", PICTURES[0], "its name has more than 200 bytes"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "data",
)
def test_a_bad_file_among_good_ones_is_refused_alone(checked: Check, name: str, data: bytes, reason: str) -> None:
    found = checked(zipped({**good(), name: data}))
    assert list(found.reasons) == [name]
    assert reason in found.reasons[name]
    assert found.files == sorted(good())


def test_names_in_both_of_unicodes_forms_are_one(checked: Check) -> None:
    composed, decomposed = (unicodedata.normalize(form, "cat/é.png") for form in ("NFC", "NFD"))
    found = checked(zipped({**good(), composed: PICTURES[0], decomposed: PICTURES[1]}))
    assert found.files == sorted([*good(), composed])
    assert found.report.refused[0].reason == "its name is there twice"


def test_the_same_name_twice_is_taken_once(checked: Check) -> None:
    file = io.BytesIO(zipped(good()))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("cat/1.png", PICTURES[3])
    found = checked(file.getvalue())
    assert found.reasons == {"cat/1.png": "its name is there twice"}
    assert (found.folder / "images/cat/1.png").read_bytes() == PICTURES[1]


def test_damaged_and_oddly_packed_files_are_refused_alone(checked: Check) -> None:
    data = zipped({**good(5), "dog/odd.png": PICTURES[0]})
    data = changed(data, "cat/1.png", checksum=7)
    data = changed(data, "cat/2.png", size=5000)
    assert data.count(b"dog/odd.png") == 2
    at = data.find(b"dog/odd.png") - 30
    data = changed(data[: at + 8] + b"\x0c\0" + data[at + 10 :], "dog/odd.png", method=12)
    found = checked(data)
    assert found.reasons == {
        "cat/1.png": "it is damaged: its bytes are not those that were packed",
        "cat/2.png": "it is damaged: its bytes are not those that were packed",
        "dog/odd.png": "it is packed by method 12; only stored (0) and deflated (8) files are read",
    }
    assert found.report.classes == {"cat": 3, "dog": 5}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "it holds no pictures, such as cat/1.png and dog/1.png"),
        ({"1.txt": b"x"}, "it holds no pictures.*first of 1 refused"),
        (
            {f"{number}.png": PICTURES[0] for number in range(3)},
            "class 'pictures' has 3 .*; every class needs at least 4",
        ),
        (
            {**good(), "owl/1.png": PICTURES[0]},
            "class 'owl' has 1 picture that can be read; every class needs at least 3",
        ),
        ({**good(), "owl/1.png": b""}, "class 'owl' has 0 pictures.*owl/1.png: the file is empty"),
        ({**good(), "Cat/7.png": PICTURES[0]}, "the folders 'Cat' and 'cat' are one on some systems"),
        ({**good(), "con/7.png": PICTURES[0]}, "the folder 'con' is that of a device on Windows; give it another name"),
        ({**good(), "owl./7.png": PICTURES[0]}, "the folder 'owl.' begins or ends with a space, or ends with a dot"),
        ({**good(), "ab:/7.png": PICTURES[0]}, "the folder 'ab:' has one of the characters"),
        ({**good(3, "train/"), **good(1, "test/"), "train/owl/1.png": PICTURES[0]}, "'owl' has 1 picture.*in train/"),
        ({**good(3, "train/"), "test/cat/1.png": PICTURES[0]}, "'dog' has 0 pictures.*the test .in test/"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(checked: Check, files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(RefusedUpload, match=reason):
        checked(zipped(files))


def test_colours_are_found_where_pixels_have_them(checked: Check) -> None:
    grey = encode(picture().convert("RGB"))
    assert checked(zipped({**good(), "cat/grey.png": grey})).report.channels == "grey"


def test_one_picture_with_colours_makes_the_set_coloured(checked: Check) -> None:
    assert (
        checked(zipped({**good(), "cat/colour.webp": encode(picture(mode="RGB"), "WEBP")})).report.channels == "colour"
    )


def test_a_size_is_that_of_the_picture_as_it_is_shown(checked: Check) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(picture(30, 20), "JPEG", exif=exif)
    report = checked(zipped({**good(), "cat/turned.jpg": turned})).report
    assert report.largest == (30, 20)


class Unseekable(io.RawIOBase):
    """A pipe: `zipfile` then writes sizes behind the data, in descriptors."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += data
        return len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("is_long", [False, True])
def test_descriptors_and_zip64_are_read(checked: Check, method: int, is_long: bool) -> None:
    file = Unseekable()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in good().items():
            with archive.open(name, "w", force_zip64=is_long) as entry:
                entry.write(data)
        archive.comment = b"with a comment"
    assert checked(bytes(file.data)).files == sorted(good())


def test_a_zip64_record_at_the_end_is_read(checked: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    data = zipped(good(), zipfile.ZIP_STORED)
    assert b"PK\6\6" in data
    assert checked(data).files == sorted(good())


@pytest.mark.parametrize("coding", ["utf-8", "cp437"])
def test_names_are_read_in_the_character_set_they_are_in(checked: Check, coding: str) -> None:
    raw = "cat/über.png".encode(coding)
    data = zipped({**good(), "cat/" + "x" * (len(raw) - 8) + ".png": PICTURES[0]})
    data = data.replace(b"cat/" + b"x" * (len(raw) - 8) + b".png", raw)
    assert "cat/über.png" in checked(data).files


def test_modes_of_ordinary_files_and_entries_for_folders_are_fine(checked: Check) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.mkdir("cat")
        archive.mkdir("dog")
        for name, data in good().items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o4777) << 16
            archive.writestr(info, data)
    found = checked(file.getvalue())
    assert found.files == sorted(good())
    assert {path.stat().st_mode & 0o7111 for path in found.folder.glob("images/*/*")} == {0}


def test_the_contact_sheet_has_a_row_for_each_of_the_first_classes(checked: Check) -> None:
    files = {f"{name}/{number}.png": PICTURES[0] for name in range(50) for number in range(3)}
    found = checked(zipped(files))
    with Image.open(found.folder / "sheet.png") as sheet:
        assert sheet.height == 4 + 40 * 68 + 24
        pixels = np.asarray(sheet)
    assert (pixels[4:60, 190 : 190 + 3 * 68] != 255).any()
    assert found.report.classes == {str(name): 3 for name in range(50)}


def test_reasons_are_named_for_some_hundred_files_and_counted_for_all(checked: Check) -> None:
    report = checked(zipped({**good(), **{f"cat/{number}.txt": b"" for number in range(300)}})).report
    assert (len(report.refused), report.refused_count) == (200, 300)


def test_files_that_would_not_fit_on_the_disk_are_not_unpacked(checked: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(OSError, match="bytes are needed") as error:
        checked(zipped(good()))
    assert error.value.errno == errno.ENOSPC
