"""How much of the page one loads, before compression, and that what is not shown at first comes when it is."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.service.page.browsing import barriers

pytestmark = pytest.mark.browser

MOST = 150_000
"""Bytes."""


@pytest.fixture
def loading(browser: Browser, address: str) -> Iterator[tuple[Page, dict[str, int]]]:
    """A page that has opened nothing yet, and the bytes of each of the page's own files that it loads, decoded."""
    sizes: dict[str, int] = {}

    def count(response: Response) -> None:
        path = response.url.removeprefix(address)
        if path == "/" or path.startswith("/static/"):
            sizes[path] = len(response.body())

    context = browser.new_context()
    page = context.new_page()
    page.on("response", count)
    yield page, sizes
    context.close()


def loaded(sizes: dict[str, int], *names: str) -> set[str]:
    """Which of these files it has loaded."""
    return {name for name in names if f"/static/{name}" in sizes}


def test_play_is_small_and_loads_the_rest_when_it_is_shown(loading: tuple[Page, dict[str, int]], address: str) -> None:
    page, sizes = loading
    later = [f"play/{name}.js" for name in ("dragging", "layers", "comparison", "handles", "camera")]
    page.goto(address)
    expect(page.locator("#bars li")).to_have_count(10)
    page.wait_for_load_state("networkidle")
    assert {"/", "/static/style.css", "/static/app.js", "/static/play/play.js"} <= set(sizes)
    assert 0 < sum(sizes.values()) < MOST, sizes
    assert not loaded(sizes, *later, "train/job.js")
    page.locator("#gallery button").first.click()
    expect(page.locator("#theta .words")).to_contain_text("Rotation")
    expect(page.locator("#sight .edge")).to_have_attribute("points", re.compile(r"\d"))
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(200)  # the last response is counted a little after it has come
    assert loaded(sizes, "play/theta.js", "play/words.js") and not loaded(sizes, *later)
    assert sum(sizes.values()) < MOST, sizes
    page.locator(".sight-handle.corner").first.press("ArrowUp")
    expect(page.get_by_role("button", name="Back to the network\N{RIGHT SINGLE QUOTATION MARK}s own")).to_be_enabled()
    page.locator("#compare").check()
    expect(page.locator("#comparison li")).to_have_count(3)
    page.locator("#inside summary").click()
    expect(page.get_by_role("switch")).not_to_have_count(0)
    page.get_by_role("button", name="Move", exact=True).click()
    expect(page.locator(".handle.turn")).to_be_visible()
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".handle.turn")).to_be_hidden()
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("dialog", name="Camera")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(200)
    assert loaded(sizes, *later) == set(later)
    assert barriers(page) == []


@pytest.mark.parametrize("view", ["align", "data", "jobs", "jobs/new", "jobs/0123456789ab"])
def test_each_other_view_is_small(loading: tuple[Page, dict[str, int]], address: str, view: str) -> None:
    page, sizes = loading
    page.goto(f"{address}/#{view}")
    expect(page.locator(f"#{view.partition('/')[0]} h2")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert loaded(sizes, "train/tellings.js") and not loaded(sizes, "play/play.js")
    assert 0 < sum(sizes.values()) < MOST, sizes


def test_a_part_that_does_not_come_is_told_and_comes_once_the_service_is_back(page: Page) -> None:
    page.route("**/static/*/*.js", lambda route: route.abort())
    page.get_by_role("link", name="Jobs").click()
    expect(page.locator("#notice")).to_contain_text(
        "This part of the page did not come: check that the service still runs"
    )
    page.locator("#gallery button").first.click()
    expect(page.locator("#headline .class")).to_have_text("7")
    page.unroute("**/static/*/*.js")
    page.get_by_role("link", name="Jobs").click()
    expect(page.locator("#jobs h2")).to_have_text("Jobs")
    expect(page.locator("#notice")).to_be_hidden()
