"""The page and the documentation in a real browser, where keys and policies stand in their way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.access.keys import create_key
from tests.service.page.browsing import keep_screenshot, picture, save_tiny_model, serve, tell

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def test_the_page_asks_for_the_key_of_a_service_that_has_some(page: Page, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "models" / "tiny" / "1.safetensors")
    key = create_key(tmp_path / "keys.json", "alice", ("predict",))
    with serve(tmp_path) as address:
        page.goto(address)
        expect(page.locator("#notice")).to_contain_text("This service asks for a key")
        expect(page.locator("#key")).to_be_focused()
        keep_screenshot(page, "key")
        page.set_input_files("#file", picture())  # before there is a key
        page.fill("#key", "stn_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key")).to_have_value("")
        page.fill("#key", key)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#notice")).to_be_hidden()
        expect(page.locator("#headline .runner-up")).to_be_visible()
        expect(page.locator("#curl")).to_contain_text('Authorization: Bearer $KEY"')
        assert key not in page.content()
        page.reload()
        expect(page.locator("#model option")).to_have_count(1)
        expect(page.locator("#notice")).to_be_hidden()


def test_a_key_that_may_not_predict_is_told_so(page: Page, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "models" / "tiny" / "1.safetensors")
    key = create_key(tmp_path / "keys.json", "bob", ("jobs",))
    with serve(tmp_path) as address:
        page.goto(address)
        page.fill("#key", key)
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_be_hidden()
        page.set_input_files("#file", picture())
        expect(page.locator("#headline")).to_contain_text("The key bob must have the scope predict, it has jobs")


def test_the_documentation_runs_under_its_policy(page: Page, tmp_path: Path) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(tell(message)))
    page.on("pageerror", lambda error: said.append(str(error)))
    with serve(tmp_path) as address:
        foreign: list[str] = []
        page.on("request", lambda request: foreign.append(request.url) if not request.url.startswith(address) else None)
        page.goto(f"{address}/docs")
        page.locator("#operations-models-list_models .opblock-summary-control").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
        expect(page.get_by_role("button", name="Authorize")).to_be_visible()
    assert (said, [url for url in foreign if not url.startswith("data:")]) == ([], [])
