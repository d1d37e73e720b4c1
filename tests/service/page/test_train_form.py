"""The form for a new job and the list of jobs in a real browser, against a real server without a worker."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.page.browsing import barriers, keep_screenshot
from tests.service.page.training import opened, zipped

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, bare: str) -> Iterator[Page]:
    with opened(browser, f"{bare}/#jobs/new?preset=digits") as (page, complaints):
        expect(page.get_by_role("radio", name="digits")).to_be_checked()
        yield page
        assert [text for text in complaints if "422" not in text and "ERR_FAILED" not in text] == []


def body(page: Page) -> Any:
    """What the form would send, as its line for a shell says."""
    return json.loads(page.inner_text("#jobs code").partition(" -d '")[2][:-1])


def test_only_what_differs_from_the_preset_is_sent(page: Page) -> None:
    assert body(page) == {"preset": "digits"}
    page.get_by_label("Rotation", exact=True).fill("90")
    page.get_by_label("Scale", exact=True).fill("0.5")
    page.get_by_label("Translation", exact=True).uncheck()
    page.get_by_label("Transform", exact=True).select_option(label="similarity")
    assert body(page) == {
        "preset": "digits",
        "distortion": {"rotation": 90, "scale": [0.5, 1.2], "translation": False},
        "model": {"transform": "similarity"},
    }
    page.get_by_role("button", name="Rotation: back to the preset").click()
    expect(page.get_by_label("Rotation", exact=True)).to_have_value("45")
    assert "rotation" not in body(page)["distortion"]
    page.locator("[id='field-distortion.size']").fill("")
    page.locator("[id='field-distortion.size-1']").fill("")
    assert body(page)["distortion"]["size"] is None


def test_the_request_works_in_a_shell(page: Page) -> None:
    page.get_by_label("Name", exact=True).first.fill("by-curl")
    page.get_by_label("Show all fields").check()
    page.get_by_label("Bounds", exact=True).fill('{"x*": [-1, 1]}')
    line = page.inner_text("#jobs code")
    answer = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, timeout=30).stdout
    made = json.loads(answer)
    assert (made["name"], made["state"], made["config"]["model"]["bounds"]) == ("by-curl", "queued", {"x*": [-1, 1]})


def test_every_field_of_the_schema_has_a_control(page: Page, bare: str) -> None:
    expect(page.get_by_label("Filters", exact=True)).to_be_hidden()
    page.get_by_label("Show all fields").check()
    form = page.request.get(f"{bare}/v1/training/config").json()
    parts = {name: form["schema"]["$defs"][f"{name.capitalize()}Config"] for name in ("data", "distortion", "model")}
    for section, part in parts.items():
        for name in part["properties"]:
            expect(page.locator(f"[id='field-{section}.{name}']")).to_be_visible()
    page.get_by_label("Filters", exact=True).fill("8, 16")
    page.get_by_label("Bounds", exact=True).fill('{"x*": [-1, 1]}')
    assert body(page)["model"] == {"filters": [8, 16], "bounds": {"x*": [-1, 1]}}
    page.get_by_label("Bounds", exact=True).fill("{")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_label("Bounds", exact=True)).to_be_focused()
    expect(page.get_by_label("Bounds", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.locator("[id='field-model.bounds-wrong']")).to_have_text("Bounds needs JSON.")
    keep_screenshot(page, "form-all")


def test_what_the_server_refuses_is_said_at_the_field(page: Page) -> None:
    page.get_by_label("Show all fields").check()
    page.get_by_label("Devices", exact=True).fill("2")
    page.get_by_label("Batch size", exact=True).fill("63")
    page.get_by_role("button", name="Start training").click()
    wrong = page.locator("[id='field-trainer.batch_size-wrong']")
    expect(wrong).to_have_text("Batch size must be a multiple of 2 devices x 1 nodes, got 63.")
    expect(page.get_by_label("Batch size", exact=True)).to_be_focused()
    keep_screenshot(page, "form-wrong")
    assert barriers(page) == []
    page.get_by_label("Batch size", exact=True).fill("64")
    expect(wrong).to_have_text("")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("Batch size", "0", "must be from 1 to 1,000,000."),
        ("Batch size", "1.5", "must be a whole number."),
        ("Learning rate", "0", "must be more than 0, less than 10."),
        ("Rotation", "181", "must be from 0 to 180."),
        ("Scale", "0.01", "must be from 0.05 to 20."),
        ("Max epochs", "", "needs a number."),
        ("Name", "no good name", "must be 1 to 64 letters, digits, - and _."),
    ],
)
def test_what_the_schema_forbids_is_said_when_the_field_is_left(page: Page, field: str, value: str, words: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    control = page.get_by_label(field, exact=True).first
    control.fill(value)
    expect(control).to_have_attribute("aria-invalid", "false")  # not while it is typed in
    control.press("Tab")
    expect(control).to_have_attribute("aria-invalid", "true")
    wrong = page.locator(f"[id='{control.get_attribute('id')}-wrong']")
    expect(wrong).to_have_text(f"{field} {words}")
    expect(page.locator("#jobs .command")).to_be_hidden()  # what the form does not say is not to be copied
    page.get_by_role("button", name="Start training").click()
    expect(control).to_be_focused()
    assert "POST" not in asked


def test_the_range_of_a_field_is_said_beside_it(page: Page) -> None:
    rotation = page.get_by_label("Rotation", exact=True)
    assert (rotation.get_attribute("min"), rotation.get_attribute("max")) == ("0", "180")
    expect(page.locator("[id='field-distortion.rotation-about']")).to_contain_text("(from 0 to 180)")
    transforms = page.get_by_label("Transform", exact=True).locator("option").all_inner_texts()
    assert {"none", "affine", "thin_plate_spline"} <= set(transforms)


def test_a_preset_for_pictures_takes_the_data_set_it_is_opened_for(page: Page, bare: str) -> None:
    sent = zipped({"a": 4, "b": 4})
    page.request.post(f"{bare}/v1/datasets?name=mine", data=sent, headers={"Content-Type": "application/zip"})
    page.goto(f"{bare}/#jobs/new?preset=pictures&dataset=mine")
    expect(page.get_by_label("Data set", exact=True)).to_have_value('"mine"')
    assert body(page) == {"preset": "pictures", "name": "mine", "data": {"name": "mine"}}


def test_a_repeated_submit_makes_one_job(page: Page, bare: str) -> None:
    page.get_by_label("Name", exact=True).first.fill("once")
    keys: list[str | None] = []
    page.on(
        "request",
        lambda request: keys.append(request.headers.get("idempotency-key")) if request.method == "POST" else None,
    )
    page.route("**/v1/jobs", lambda route: route.abort())
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("form .row .wrong")).to_have_text("The service does not answer: check that it still runs.")
    page.unroute("**/v1/jobs")
    page.get_by_role("button", name="Start training").dblclick()
    expect(page.locator("#jobs h2")).to_have_text("once")
    assert len(keys) == 2 and keys[0] == keys[1]
    names = [job["name"] for job in page.request.get(f"{bare}/v1/jobs").json()["jobs"]]
    assert names.count("once") == 1


def test_the_list_shows_filters_and_pages_and_renews_itself(page: Page, bare: str) -> None:
    for index in range(22):
        page.request.post(f"{bare}/v1/jobs", data={"preset": "digits", "name": f"list-{index}"})
    page.goto(f"{bare}/#jobs")
    rows = page.locator("#jobs .rows li")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text(re.compile(r"queued.*list-21.*digits · affine.*Waits for a worker", re.S))
    first = page.get_by_role("link", name="list-21")
    first.focus()
    identity = (first.get_attribute("href") or "").rpartition("/")[2]
    page.request.post(f"{bare}/v1/jobs/{identity}/cancel")
    expect(rows.first).to_contain_text("cancelled")
    expect(first).to_be_focused()
    keep_screenshot(page, "jobs")
    assert barriers(page) == []
    page.get_by_role("link", name="Older").click()
    expect(rows.first).to_contain_text("list-1")
    page.get_by_role("link", name="Newest").click()
    expect(rows.first).to_contain_text("list-21")
    page.get_by_role("link", name="Cancelled").click()
    expect(rows).to_have_count(1)


def test_a_job_that_waits_is_cancelled_and_deleted_by_the_keyboard(page: Page, bare: str) -> None:
    made = page.request.post(f"{bare}/v1/jobs", data={"preset": "digits", "name": "waits"}).json()
    page.goto(f"{bare}/#jobs/{made['id']}")
    expect(page.locator("#jobs .state")).to_have_text("queued")
    buttons = page.locator("#jobs .actions .button:visible")
    expect(buttons).to_have_text(["Cancel"])
    buttons.first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#jobs .state")).to_have_text("cancelled")
    expect(page.locator("#jobs .reason")).to_contain_text("Cancelled before it was started")
    expect(buttons).to_have_text(["Resume", "Delete"])
    page.get_by_role("button", name="Delete").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#jobs h2")).to_have_text("Jobs")
    assert page.request.get(f"{bare}/v1/jobs/{made['id']}").status == 404


def test_of_a_job_that_is_not_there_nothing_is_shown(browser: Browser, bare: str) -> None:
    with opened(browser, f"{bare}/#jobs/nothere") as (page, _):
        expect(page.locator("#jobs .notice")).to_have_text("There is no job of that id.")
        expect(page.locator("#jobs .shown")).to_be_hidden()
        expect(page.locator("#jobs .actions .button:visible")).to_have_count(0)


@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (375, "dark"), (1280, "dark")])
def test_views_fit_a_phone_in_light_and_dark(browser: Browser, bare: str, width: int, scheme: str) -> None:
    with opened(browser, f"{bare}/#jobs/new", width, scheme) as (page, complaints):
        expect(page.locator(".presets")).to_be_visible()
        for view in ("jobs/new", "data", "jobs"):
            page.goto(f"{bare}/#{view}")
            expect(page.locator(f"#{view.partition('/')[0]} h2")).to_be_visible()
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert barriers(page) == []
            keep_screenshot(page, f"{view.replace('/', '-')}-{width}-{scheme}")
        assert complaints == []
