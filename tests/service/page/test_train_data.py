"""Data sets in a real browser, against a real server without a worker."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from service.access.keys import create_key
from tests.service.page.browsing import keep_screenshot, serve
from tests.service.page.training import drop, opened, zipped

pytestmark = pytest.mark.browser

SHAPES = zipped({"bar": 4, "cross": 7}, **{"bar/empty.png": b"", "bar/torn.png": b"", "notes.txt": b"x"})


@pytest.fixture
def page(browser: Browser, bare: str) -> Iterator[Page]:
    with opened(browser, f"{bare}/#data") as (page, complaints):
        expect(page.locator("#data .known a")).not_to_have_count(0)
        yield page
        assert [text for text in complaints if "409" not in text and "422" not in text] == []


def choose(page: Page, name: str, content: bytes) -> None:
    page.set_input_files("#set-file", {"name": name, "mimeType": "application/zip", "buffer": content})


def test_a_zip_file_is_uploaded_and_told_of(page: Page) -> None:
    choose(page, "my shapes.zip", SHAPES)
    expect(page.locator("#set-name")).to_have_value("my-shapes")
    expect(page.locator("#set-name")).to_be_focused()
    page.fill("#set-name", "shapes")
    page.keyboard.press("Enter")
    result = page.locator("#data .result")
    expect(result).to_contain_text("shapes: 11 pictures in 2 classes.")
    expect(result).to_be_focused()
    expect(result).to_contain_text("3 files left out")
    expect(result.locator("li").filter(has_text="empty.png")).to_have_text(
        "bar/empty.png, bar/torn.png: the file is empty"
    )
    expect(result.locator("a")).to_have_attribute("href", "#jobs/new?preset=pictures&dataset=shapes")
    card = page.locator("#set-shapes")
    expect(card.locator(".counts li")).to_have_text(["bar4", "cross7"])
    expect(card).to_contain_text(re.compile(r"11 pictures · 2 classes · 16 × 16, grey"))
    card.locator("summary").click()
    sheet = card.locator("img")
    expect(sheet).to_be_visible()
    assert sheet.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    expect(card.locator(".reasons li")).to_have_count(2)
    keep_screenshot(page, "data")


def test_a_dropped_file_is_taken_and_a_taken_name_is_said_at_the_name(page: Page) -> None:
    drop(page, "#data .upload", "dropped.zip", zipped({"a": 3, "b": 3}))
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#set-dropped")).to_be_visible()
    drop(page, "#data .sets", "dropped.zip", zipped({"a": 3, "b": 3}))
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#set-wrong")).to_contain_text("There is a data set 'dropped' already")
    expect(page.locator("#set-name")).to_be_focused()
    expect(page.locator("#set-name")).to_have_attribute("aria-invalid", "true")
    page.fill("#set-name", "no good name")
    page.keyboard.press("Enter")
    expect(page.locator("#set-wrong")).to_have_text("Name: 1 to 64 letters, digits, - or _.")


def test_what_is_no_data_set_is_refused_in_a_sentence(page: Page) -> None:
    choose(page, "one.zip", zipped({"alone": 1}))
    page.keyboard.press("Enter")
    expect(page.locator("#set-wrong")).to_contain_text("class")
    expect(page.locator("#set-wrong")).to_have_text(re.compile(r"^[A-Z].*\.$"))
    drop(page, "#data", "picture.png", b"x")
    expect(page.locator("#set-wrong")).to_contain_text("one .zip or .npz file")


def test_pictures_alone_are_for_an_aligner(page: Page) -> None:
    choose(page, "alone.zip", zipped({"": 5}))
    page.keyboard.press("Enter")
    result = page.locator("#data .result")
    expect(result).to_contain_text("alone: 5 pictures in 1 class. Train on it. A classifier needs 2 classes")
    expect(page.locator("#set-alone")).to_contain_text("5 pictures · 1 class ·")
    result.get_by_role("link").click()
    expect(page.locator("input[name=preset]:checked")).to_have_value("align")
    page.locator("input[name=preset][value=pictures]").check()
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#field-data\\.name-wrong")).to_have_text(
        "Data set must be a set of 2 classes at least for task classify (align needs none), got 'alone' with 'pictures' "
        "alone."
    )


def test_an_upload_on_its_way_is_cancelled(page: Page) -> None:
    held: list[Route] = []
    page.route("**/v1/datasets?name=*", lambda route: held.append(route))
    choose(page, "slow.zip", zipped({"a": 3, "b": 3}))
    page.keyboard.press("Enter")
    expect(page.locator("#data .upload progress")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#set-wrong")).to_have_text("Cancelled: nothing of it is kept.")
    expect(page.locator("#set-name")).to_be_focused()


def test_deletion_is_asked_about_and_refused_while_a_job_uses_the_set(page: Page, bare: str) -> None:
    drop(page, "#data", "used.zip", zipped({"a": 4, "b": 4}))
    page.keyboard.press("Enter")
    card = page.locator("#set-used")
    expect(card).to_be_visible()
    made = page.request.post(f"{bare}/v1/jobs", data={"preset": "pictures", "data": {"name": "used"}}).json()
    delete = card.get_by_role("button", name="Delete used")
    delete.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete the data set used?")
    expect(dialog).to_contain_text("8 pictures are deleted for good")
    keep_screenshot(page, "data-delete")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(delete).to_be_focused()
    delete.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(card.locator(".wrong")).to_have_text(
        f"Jobs use data set used that have not ended: {made['id']}; cancel them first."
    )
    page.request.post(f"{bare}/v1/jobs/{made['id']}/cancel")
    delete.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)


def test_a_service_that_is_away_or_asks_for_a_key_is_told(browser: Browser, tmp_path: Path) -> None:
    key = create_key(tmp_path / "keys.json", "alice", ("jobs",))
    with serve(tmp_path) as address, opened(browser, f"{address}/#data") as (page, _):
        expect(page.locator("#data .notice")).to_contain_text("This service asks for a key with the scope jobs")
        expect(page.locator("#key")).to_be_focused()
        page.fill("#key", "stn_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#data .notice")).to_contain_text("This key is not known")
        page.fill("#key", key)
        page.keyboard.press("Enter")
        expect(page.locator("#data .known a")).not_to_have_count(0)
        drop(page, "#data", "mine.zip", zipped({"a": 3, "b": 3}))
        page.keyboard.press("Enter")
        page.locator("#set-mine summary").click()
        expect(page.locator("#set-mine img")).to_have_attribute("src", re.compile("^blob:"))
        page.route("**/v1/datasets", lambda route: route.abort())
        page.evaluate("location.hash = '#data/mine'")
        expect(page.locator("#data .notice")).to_have_text("The service does not answer: check that it still runs.")
