"""Nothing on the page jumps while it opens and answers come, but what somebody has asked for."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.conftest import encode, picture
from tests.service.jobs.driven import LINES, begun, config, store_at, write_run
from tests.service.page.browsing import serve
from tests.service.page.drawing import draw, placed
from tests.service.page.training import drop

pytestmark = pytest.mark.browser

WATCH = """
    window.shifts = [];
    const tell = ({ node, previousRect, currentRect }) =>
        [node?.className || node?.nodeName, previousRect.x, previousRect.y, currentRect.x, currentRect.y];
    const add = ({ hadRecentInput, value, sources }) => hadRecentInput || shifts.push([value, sources.map(tell)]);
    new PerformanceObserver((list) => list.getEntries().forEach(add)).observe({ type: "layout-shift", buffered: true });
"""
"""Keeps the browser's own measure, the share of the window that moved times how far it did, and what moved to where."""

WIDTHS = pytest.mark.parametrize("width", [1280, 800, 375])


@contextmanager
def steady(browser: Browser, address: str, width: int) -> Iterator[Page]:
    """A page at this address on which nothing jumps."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address)
    yield page
    page.wait_for_timeout(500)
    shifts = page.evaluate("shifts")
    assert sum(value for value, _ in shifts) < 0.01, shifts  # below 0.1 is called good
    context.close()


@WIDTHS
def test_nothing_jumps(browser: Browser, address: str, width: int) -> None:
    with steady(browser, address, width) as page:
        expect(page.locator("#bars li")).to_have_count(10)
        draw(page, placed("7", scale=0.5))  # the handles of a region follow the drawing
        expect(page.locator("#theta .words")).to_contain_text("Rotation")
        page.goto(f"{address}/#jobs")
        expect(page.locator("#jobs h2")).to_be_visible()


@WIDTHS
def test_pictures_to_align_find_room(browser: Browser, address: str, width: int) -> None:
    with steady(browser, f"{address}/#align", width) as page:
        expect(page.locator(".slot")).to_have_count(2)
        for place in (1, 2):
            drop(page, f".slot:nth-child({place})", "picture.png", encode(picture()))
            page.wait_for_timeout(600)  # until no input is recent any more, of which a jump would be forgiven
        expect(page.locator("#align .legend")).to_contain_text("sure", timeout=60_000)


@WIDTHS
def test_a_job_has_room_for_all_that_comes(browser: Browser, tmp_path: Path, width: int) -> None:
    store = store_at(tmp_path)
    store.create(config())
    with serve(tmp_path) as address:
        with steady(browser, f"{address}/#jobs/{store.list()[0].id}", width) as page:
            expect(page.locator("#jobs .state")).to_have_text("queued")
            job = begun(store)
            expect(page.locator("#jobs .state")).to_have_text("running")
            run = write_run(tmp_path, job.id)
            look(run, 10)
            job = store.record(
                job, [("metrics", LINES[0]), ("sample", {"step": 10})], step=10, steps=20, eta_seconds=9.0
            )
            expect(page.locator("#jobs .film-frame")).to_have_count(1)
            look(run, 20)
            job = store.record(
                job, [("metrics", LINES[1]), ("sample", {"step": 20})], step=20, steps=20, eta_seconds=0.0
            )
            expect(page.locator("#jobs .film-frame")).to_have_count(2)
            store.finish(job, "succeeded", "the training is done", scores={"accuracy": 0.875}, model_version=1)
            expect(page.locator("#jobs .report")).to_contain_text("Open the report")
        with steady(browser, f"{address}/#jobs/{job.id}", width) as page:
            expect(page.locator("#jobs .film-frame")).to_have_count(2)
            expect(page.locator("#jobs .chart .val")).not_to_have_count(0)
    store.close()


def look(run: Path, step: int) -> None:
    """Write what a training's transformer makes of eight pictures."""
    image = "data:image/png;base64," + base64.b64encode(encode(picture())).decode()
    outline = [[4.0, 4.0], [20.0, 4.0], [20.0, 20.0], [4.0, 20.0]]
    item = {"transformed": image, "outline": outline, "class": str(step), "probability": step / 20}
    (run / "probe").mkdir(exist_ok=True)
    (run / "probe" / "pictures.json").write_text(json.dumps({"pictures": 8 * [{"image": image, "class": "20"}]}))
    frame = {"step": step, "epoch": step / 10, "items": 8 * [item]}
    (run / "probe" / f"step-{step:06d}.json").write_text(json.dumps(frame))
