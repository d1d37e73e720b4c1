"""A job from the form to Play in a real browser, with a real `stn up` that is killed in the middle."""

import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.page.browsing import HIDDEN, barriers, keep_screenshot
from tests.service.page.training import opened
from tests.service.running import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STEPS = 20
"""Of each epoch of the preset digits."""
SLOW = 240_000
"""Milliseconds: a worker starts, a training process imports torch, and others keep the processors busy."""

KNOWN = "JSON.parse(sessionStorage.getItem(`job ${location.hash.slice(6)}`))"


def test_a_job_is_launched_watched_stopped_and_its_model_tried(browser: Browser, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    first = serving(tmp_path, "--port", port, verb="up", log=tmp_path / "first.txt")
    second = serving(tmp_path, "--port", port, verb="up", log=tmp_path / "second.txt")
    with first as service:
        service.wait_until_ready()
        context = opened(browser, f"{address}/#jobs/new?preset=digits")
        page, complaints = context.__enter__()
        _launch(page)
        _watch(page)
        _follow_the_log(page)
        _hide(page)
        assert complaints == []
        _reload(page)
    try:
        expect(page.locator("#jobs .wrong").first).to_contain_text("Trying again", timeout=SLOW)
        with second as service:
            service.wait_until_ready()
            _goes_on(page, address)
            _stop(page, address)
            _try(page)
            _resume(page, address)
    finally:
        context.__exit__(None, None, None)


def _launch(page: Page) -> None:
    page.get_by_label("Name", exact=True).first.fill("watched")
    page.get_by_label("Max epochs", exact=True).fill("300")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#jobs .state")).to_have_text("running", timeout=SLOW)


def _watch(page: Page) -> None:
    """Curves, log and filmstrip grow."""
    _until(page, "document.querySelectorAll('.film-frame').length > 2")
    line = page.locator(".chart polyline.val").first
    before = len((line.get_attribute("points") or "").split())
    assert before > 1
    expect(page.locator(".log")).to_contain_text("watched: seed 0, device cpu")
    expect(page.locator("#jobs progress").first).to_have_attribute("value", re.compile(r"0\.\d+"))
    expect(page.locator("#jobs .sides")).to_contain_text(re.compile(r"step [\d,]+ of [\d,]+, \S+ \S+ left"))
    _until(page, f"document.querySelector('.chart polyline.val').points.length > {before}")
    assert page.locator(".film li").count() == page.locator(".film-frame").first.locator("img").count()
    page.locator("#film-at").focus()
    page.keyboard.press("Home")
    expect(page.locator(".film output")).to_contain_text("epoch 1, step 20")
    expect(page.locator(".film-frame.chosen .legend")).to_have_text("1")
    page.keyboard.press("End")
    page.locator(".curves summary").click()
    expect(page.locator(".curves table tbody tr").last.locator("td").nth(1)).to_have_text("20")
    assert barriers(page) == []
    keep_screenshot(page, "job")


def _reload(page: Page) -> None:
    """The stream of events goes on after the last one that was seen, and the curves are there at once."""
    seen = _known(page)
    with page.expect_request("**/events") as asked:
        page.reload()
    assert int(asked.value.headers["last-event-id"]) >= seen["last"]
    expect(page.locator(".chart polyline.val").first).to_be_attached()
    expect(page.locator(".log")).to_contain_text("watched: seed 0", timeout=SLOW)
    _complete(page)


def _follow_the_log(page: Page) -> None:
    """The newest line is in sight until somebody scrolls up, and again on request."""
    log = page.locator(".log")
    at_end = "log => log.scrollTop + log.clientHeight >= log.scrollHeight - 8"
    grown = "document.querySelector('.log').scrollHeight > {}"
    _until(page, grown.format("document.querySelector('.log').clientHeight + 200"))
    _until(page, grown.format(log.evaluate("log => log.scrollHeight")))
    assert log.evaluate(at_end)
    log.focus()
    page.keyboard.press("Home")
    newest = page.get_by_role("button", name="To the newest line")
    expect(newest).to_be_visible()
    _until(page, grown.format(log.evaluate("log => log.scrollHeight")))
    assert log.evaluate("log => log.scrollTop") == 0
    newest.press("Enter")
    expect(newest).to_be_hidden()
    assert log.evaluate(at_end)


def _hide(page: Page) -> None:
    """A page that is not seen asks nothing, and knows all once it is seen again."""
    asked: list[str] = []
    page.evaluate(HIDDEN.format("true"))
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(500)
    asked.clear()
    before = _known(page)["last"]
    page.wait_for_timeout(4000)
    assert asked == [] and _known(page)["last"] == before
    page.evaluate(HIDDEN.format("false"))
    _until(page, f"{KNOWN}.last > {before + 3}")
    _complete(page)


def _goes_on(page: Page, address: str) -> None:
    last = _known(page)["last"]
    _until(page, f"{KNOWN}.last > {last + 3}")
    expect(page.locator("#jobs .wrong").first).to_be_hidden()
    _complete(page)


def _stop(page: Page, address: str) -> None:
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#jobs .state")).to_have_text("stopped", timeout=SLOW)
    expect(page.locator("#jobs .report")).to_contain_text("Test accuracy")
    identity = page.url.rpartition("/")[2]
    metrics = page.request.get(f"{address}/v1/jobs/{identity}/metrics").json()["metrics"]
    _until(page, f"{KNOWN}.metrics[{metrics[-1]['step']}] !== undefined")
    assert [int(step) for step in _known(page)["metrics"]] == [line["step"] for line in metrics]
    expect(page.locator(".log")).to_have_text(page.request.get(f"{address}/v1/jobs/{identity}/logs").text())
    frames = page.request.get(f"{address}/v1/jobs/{identity}/probe").json()["frames"]
    expect(page.locator(".film-frame")).to_have_count(len(frames))
    page.get_by_text("Files and checkpoints").click()
    expect(page.locator(".pane")).to_contain_text(["model.safetensors", "watched"])
    expect(page.locator(".pane", has_text="Files and checkpoints")).to_contain_text("last.ckpt")
    report = page.frame_locator(".pane iframe")
    page.locator(".pane iframe").scroll_into_view_if_needed()
    expect(report.locator("h1")).to_contain_text("watched")
    assert report.locator("h1").evaluate("heading => getComputedStyle(heading).fontSize") == "28px"  # its own style
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Open the report").click()
    expect(opening.value.locator("body")).to_contain_text("watched")
    opening.value.close()
    expect(page.locator("#jobs .actions .button:visible")).to_have_text(
        ["Resume", "Delete", "Try this model, version 1"]
    )
    keep_screenshot(page, "job-stopped")
    page.set_viewport_size({"width": 375, "height": 812})
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    page.emulate_media(color_scheme="dark")
    assert barriers(page) == []
    keep_screenshot(page, "job-phone-dark")
    page.set_viewport_size({"width": 1280, "height": 900})


def _try(page: Page) -> None:
    page.get_by_role("link", name="Try this model").click()
    expect(page).to_have_url(re.compile(r"#play\?.*model=watched"))
    expect(page.locator("#model option:checked")).to_have_text("watched, version 1")


def _resume(page: Page, address: str) -> None:
    """By the keyboard alone: a job is stopped in the middle, and goes on to its end from there."""
    job = {"preset": "digits", "name": "resumed", "trainer": {"max_epochs": 12}}
    identity = page.request.post(f"{address}/v1/jobs", data=job).json()["id"]
    page.goto(f"{address}/#jobs/{identity}")
    _until(page, f"Object.keys({KNOWN}?.metrics ?? {{}}).length > 0")
    _press(page, "Stop")
    expect(page.locator("#jobs .state")).to_have_text("stopped", timeout=SLOW)
    done = max(int(step) for step in _known(page)["metrics"])
    assert 0 < done < 12 * STEPS
    _press(page, "Resume")
    expect(page.locator("#jobs .sides")).to_contain_text("attempt 2", timeout=SLOW)
    expect(page.locator("#jobs .state")).to_have_text("succeeded", timeout=SLOW)
    _until(page, f"{KNOWN}.metrics[{12 * STEPS}] !== undefined")
    assert {*range(STEPS, 12 * STEPS + 1, STEPS)} <= {int(step) for step in _known(page)["metrics"]}
    expect(page.locator("#jobs .report")).to_contain_text("Test accuracy")
    for reached in ("Report", "Files and checkpoints", "Config", "As a table"):
        _press(page, reached)
    for name in ("Log", "Transformed pictures of each validation"):
        _tab_to(page, name)
    name = page.get_by_role("link", name="Try this model").inner_text()
    _press(page, name)  # which Play, when it was open before, did not know
    expect(page.locator("#model option:checked")).to_have_text(name.replace("Try this model", "resumed"))


def _press(page: Page, name: str) -> None:
    _tab_to(page, name)
    page.keyboard.press("Enter")


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name, or this text, has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent") == name:
            return
    raise AssertionError(f"Tab does not reach {name}")


def _known(page: Page) -> Any:
    """What the page keeps of the job that it shows."""
    return page.evaluate(KNOWN)


def _until(page: Page, expression: str) -> None:
    """Return when this is true; `wait_for_function` would need what the page's policy forbids."""
    until = time.monotonic() + SLOW / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < until, expression
        page.wait_for_timeout(200)


def _complete(page: Page) -> None:
    """Of the validations until now, one each epoch, none is missing."""
    steps = [int(step) for step in _known(page)["metrics"]]
    assert steps == [*range(STEPS, STEPS * len(steps) + 1, STEPS)]
