"""Nothing on the page jumps while it opens and answers come, but what somebody has asked for."""

import pytest
from playwright.sync_api import Browser, expect

from tests.service.page.drawing import draw, placed

pytestmark = pytest.mark.browser

WATCH = """
    window.shifts = 0;
    const add = (entry) => { if (!entry.hadRecentInput) window.shifts += entry.value; };
    new PerformanceObserver((list) => list.getEntries().forEach(add)).observe({ type: "layout-shift", buffered: true });
"""
"""Adds up the browser's own measure: the share of the window that moved times how far it did."""


@pytest.mark.parametrize("width", [1280, 800, 375])
def test_nothing_jumps(browser: Browser, address: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address)
    expect(page.locator("#bars li")).to_have_count(10)
    draw(page, placed("7", scale=0.5))
    expect(page.locator("#theta .words")).to_contain_text("Rotation")
    page.goto(f"{address}/#jobs")
    expect(page.locator("#jobs h2")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate("shifts") < 0.01  # the handles of a region follow the drawing; below 0.1 is called good
    context.close()
