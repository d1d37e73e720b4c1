"""Links to Play: what one saw, in the address."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.service.page.browsing import open_page, picture
from tests.service.page.drawing import draw, placed

pytestmark = pytest.mark.browser

PIXELS = "() => document.getElementById('pad').toDataURL()"


def test_a_link_reproduces_what_one_sees(browser: Browser, page: Page) -> None:
    draw(page, placed("4", degrees=20, scale=0.7))
    for name, value in {"angle": "30", "shear": "0.2", "x": "0.1", "noise": "0.3", "clutter": "4"}.items():
        page.locator(f"#view-{name}").fill(value)
    page.locator("#grid").check()
    page.locator("#compare").check()
    link = settled_link(page)
    assert len(link) < 400
    with open_page(browser, link) as other:
        expect(other.locator("#headline .class")).to_have_text(page.inner_text("#headline .class"))
        other.wait_for_timeout(500)
        assert other.evaluate(PIXELS) == page.evaluate(PIXELS)
        for name in ("grid", "compare"):
            expect(other.locator(f"#{name}")).to_be_checked()
        for name in ("angle", "scale", "shear", "x", "y", "noise", "clutter"):
            assert other.input_value(f"#view-{name}") == page.input_value(f"#view-{name}")
        assert other.inner_text("#curl").replace(other.url, "") == page.inner_text("#curl").replace(page.url, "")
        assert settled_link(other) == link


def test_theta_by_hand_and_the_models_stand_in_the_link(browser: Browser, page: Page, address: str) -> None:
    draw(page, placed("7"))
    page.evaluate("location.hash = '#play?model=handwriting&version=1&second=handwriting/1&theta=1,0,0,0,1,0.25'")
    expect(page.locator("#curl")).to_contain_text("theta=1,0,0,0,1,0.25")
    expect(page.locator("#pad")).to_have_attribute("aria-label", "Pad: a drawing of 1 stroke")
    link = settled_link(page)
    assert "theta=1,0,0,0,1,0.25" in link and "second=handwriting%2F1" in link
    with open_page(browser, link) as other:
        expect(other.locator("#curl")).to_contain_text("theta=1,0,0,0,1,0.25")
        assert other.input_value("#second") == "0"


def test_a_link_holds_a_small_copy_of_a_picture_and_says_so(browser: Browser, page: Page) -> None:
    page.set_input_files("#file", picture(width=300))
    expect(page.locator("#link-note")).to_have_text("The link holds a copy of the picture, 96 × 8.")
    with open_page(browser, settled_link(page)) as other:
        expect(other.locator("#link-note")).to_have_text("The link holds this copy of the picture.")
        expect(other.locator("#source-size")).to_have_text("96 × 8")


@pytest.mark.parametrize(
    "query",
    [
        "d=%%%",
        "d=!!!!",
        "d=" + "A" * 3,
        "d=_____w",
        "d=QAP",
        "v=1,2,3",
        "d=QAPmCOYE3AJ89QGUBA&v=nan,1,0,0,0,0,0,1,0,0,0",
        "d=QAPmCOYE3AJ89QGUBA&v=0,0,0,0,0,0,0,1,0,0,0",
        "p=png.AAAA",
        "p=svg.AAAAAAAA",
        "theta=1,x",
        "layers=<b>",
        "model=..%2F..",
        "something=else",
    ],
)
def test_a_bad_link_opens_the_empty_pad_with_a_sentence(browser: Browser, address: str, query: str) -> None:
    said: list[str] = []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: said.append(str(error)))

    with open_page(browser, f"{address}/#play?{query}", listen) as page:
        expect(page.locator("#notice")).to_contain_text("This link is damaged: ")
        expect(page.locator("#pad")).to_have_attribute("aria-label", re.compile("nothing is on it"))
        draw(page, placed("7"))
        expect(page.locator("#headline .class")).to_have_text("7")
        expect(page.locator("#notice")).to_be_hidden()
    assert said == []


def test_a_link_to_a_model_that_is_not_served_is_answered_by_another(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/#play?d=QAPmCOYE3AJ89QGUBA&model=cats&theta=1,2&second=dogs/3") as page:
        expect(page.locator("#notice")).to_have_text("This service has no classifier cats and no dogs.")
        expect(page.locator("#headline .class")).to_have_text("7")


def test_a_link_with_theta_by_hand_lists_every_layer(browser: Browser, address: str) -> None:
    link = f"{address}/#play?d=QAPmCOYE3AJ89QGUBA&layers=*"
    with open_page(browser, link) as page:
        expect(page.get_by_role("switch")).not_to_have_count(0)
        count = page.get_by_role("switch").count()
    with open_page(browser, f"{link}&theta=1,0,0,0,1,0.1") as page:
        expect(page.get_by_role("switch")).to_have_count(count)
        expect(page.locator(".layer .quiet:visible").first).to_have_text("Not asked: theta is given by hand.")
        expect(page.locator(".layers h3").first).to_have_text("Localization net")


def test_a_link_opens_the_layers_also_where_none_is_shown(browser: Browser, page: Page) -> None:
    draw(page, placed("7"))
    page.locator("#inside summary").click()
    expect(page.get_by_role("switch")).not_to_have_count(0)
    with open_page(browser, settled_link(page)) as other:
        expect(other.get_by_role("switch")).to_have_count(page.get_by_role("switch").count())
        expect(other.locator("#inside")).to_have_attribute("open", "")
        other.locator("#inside summary").click()
        assert "inside" not in settled_link(other)


def test_copy_link_writes_the_address_to_the_clipboard(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    draw(page, placed("7"))
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link-note")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert "&model=handwriting&version=1" in page.url  # whichever is the default tomorrow


def test_leaving_and_coming_back_keeps_the_drawing(page: Page) -> None:
    draw(page, placed("7"))
    link = settled_link(page)
    page.get_by_role("link", name="Play").click()
    expect(page).to_have_url(link)
    expect(page.locator("#headline .class")).to_have_text("7")


def test_an_address_that_leads_elsewhere_is_not_taken_back(page: Page) -> None:
    held: list[Route] = []
    page.route("**/static/train/jobs.js", lambda route: held.append(route))
    draw(page, placed("7"))
    page.evaluate("() => { document.getElementById('grid').click(); location.hash = 'jobs'; }")
    page.wait_for_timeout(500)
    held[0].continue_()
    expect(page.locator("#jobs h2")).to_have_text("Jobs")
    assert page.url.endswith("/#jobs")


def settled_link(page: Page) -> Any:
    """The address once it follows what is shown."""
    page.wait_for_timeout(700)
    return page.url
