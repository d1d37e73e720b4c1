"""Clients and the shell send data sets: as files, or folders that are zipped while they are sent."""

import asyncio
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from service.client import AsyncClient, Client, Conflict, NotFound, WrongRequest
from service.client.dataset_files import DatasetBody
from service.commands.cli import main
from service.settings import Settings
from tests.service.datasets.test_arrays import IMAGES, LABELS, npz
from tests.service.datasets.zips import PICTURES, good, zipped
from tests.service.serving import serving


@pytest.fixture(scope="module")
def url(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(Settings(home=tmp_path_factory.mktemp("home"))) as host:
        yield f"http://{host}"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of class folders, with what lies in folders beside pictures."""
    others = {".hidden/1.png": PICTURES[0], "cat/notes.txt": b"x", "cat/.DS_Store": b"x", "cover.png": PICTURES[0]}
    for name, data in {**good(4), **others}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "photos"


def test_a_folder_is_zipped_as_it_is_sent(photos: Path) -> None:
    seen: list[tuple[int, int]] = []
    body = DatasetBody(photos, lambda done, total: seen.append((done, total)))
    for _ in range(2):  # as for an upload that is made again
        data = b"".join(body())
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == good(4)
    total = sum(map(len, good(4).values()))
    assert seen[-1] == (total, total)
    assert len(seen) == 16


def test_links_to_pictures_are_sent_as_what_they_lead_to_and_loops_end(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.png").write_bytes(PICTURES[3])
    (photos / "cat/link.png").symlink_to(tmp_path / "elsewhere.png")
    (photos / "dog/loop").symlink_to(photos)
    with zipfile.ZipFile(io.BytesIO(b"".join(DatasetBody(photos)()))) as archive:
        assert archive.read("cat/link.png") == PICTURES[3]
        assert max(name.count("/") for name in archive.namelist()) == 3


def test_pictures_alone_are_sent_where_no_folder_holds_one(photos: Path) -> None:
    for folder in ("cat", "dog"):
        shutil.rmtree(photos / folder)
    (photos / "notes").mkdir()
    (photos / "notes/1.txt").write_text("x")
    with zipfile.ZipFile(io.BytesIO(b"".join(DatasetBody(photos)()))) as archive:
        assert archive.namelist() == ["cover.png"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_what_is_no_data_set_is_not_sent(tmp_path: Path, make) -> None:
    make(tmp_path / "thing")
    with pytest.raises(ValueError, match=r"path must be a .*folder"):
        DatasetBody(tmp_path / "thing")


def test_a_data_set_goes_there_and_back(url: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(npz(images=IMAGES, labels=LABELS))
    (tmp_path / "set.zip").write_bytes(zipped(good()))
    seen: list[tuple[int, int]] = []
    with Client(url) as client:
        report = client.upload_dataset("photos", photos, progress=lambda *counts: seen.append(counts))
        assert (report.images, report.classes, report.refused_count) == (8, {"cat": 4, "dog": 4}, 0)
        assert seen[-1][0] == seen[-1][1]
        assert client.upload_dataset("arrays", str(tmp_path / "set.npz")).kind == "npz"
        assert client.upload_dataset("zip", tmp_path / "set.zip").images == 6
        assert [summary.name for summary in client.datasets().datasets] == ["arrays", "photos", "zip"]
        assert client.dataset("photos") == report
        with Image.open(io.BytesIO(client.dataset_sheet("photos"))) as sheet:
            assert sheet.format == "PNG"
        with pytest.raises(Conflict, match="delete it first to replace it"):
            client.upload_dataset("photos", photos)
        (tmp_path / "bad.zip").write_bytes(b"nonsense")
        with pytest.raises(WrongRequest, match="neither a zip file"):
            client.upload_dataset("bad", tmp_path / "bad.zip")
        for name in ("arrays", "photos", "zip"):
            client.delete_dataset(name)
        with pytest.raises(NotFound):
            client.dataset("photos")


def test_without_blocking_it_is_the_same(url: str, photos: Path) -> None:
    async def run() -> None:
        async with AsyncClient(url) as client:
            report = await client.upload_dataset("photos", photos)
            assert report == await client.dataset("photos")
            assert (await client.dataset_sheet("photos")).startswith(b"\x89PNG")
            await client.delete_dataset("photos")
            assert (await client.datasets()).datasets == []

    asyncio.run(run())


@pytest.mark.parametrize("where", ["at a service", "at STN_URL", "in the home folder"])
def test_the_shell_does_it_too(
    url: str,
    photos: Path,
    tmp_path: Path,
    where: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STN_HOME", str(tmp_path / "home"))
    if where == "at STN_URL":
        monkeypatch.setenv("STN_URL", url)
    address = ["--url", url] if where == "at a service" else []

    def stn(*words: str) -> str:
        assert main(["datasets", *words, *address]) == 0
        return capsys.readouterr().out

    (photos / "cat/bad.png").write_bytes(b"x")
    added = stn("add", "photos", str(photos))
    assert added.splitlines()[1:4] == ["  cat: 4", "  dog: 4", "refused: 1"]
    assert added.startswith("photos  8 pictures  2 classes  7x6 to 7x9  grey  ")
    assert "  cat/bad.png: the image must be one of" in added
    assert stn("list").startswith("photos  8 pictures")
    assert json.loads(stn("list", "--json"))["datasets"][0]["name"] == "photos"
    assert json.loads(stn("show", "photos", "--json"))["classes"] == {"cat": 4, "dog": 4}
    stn("show", "photos", "--sheet", str(tmp_path / "sheet.png"))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 190 + 4 * 68
    assert main(["datasets", "add", "photos", str(photos), *address]) == 2
    assert "delete it first to replace it" in capsys.readouterr().err
    stn("delete", "photos")
    assert stn("list") == ""
    assert (tmp_path / "home/datasets").is_dir() == (where == "in the home folder")
    if where == "in the home folder":
        assert os.listdir(tmp_path / "home/datasets") == []
