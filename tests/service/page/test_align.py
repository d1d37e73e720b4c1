"""Two pictures laid on each other in a real browser, by the aligner of the package."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from service.models.folder import SHIPPED_ALIGNER, register
from tests.service.aligners import photo, png_of
from tests.service.page.browsing import barriers, keep_screenshot, serve
from tests.service.page.training import opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_two_pictures_are_laid_on_each_other(browser: Browser, tmp_path: Path) -> None:
    register(tmp_path / "models", "align", SHIPPED_ALIGNER)
    scene = photo(140, 140, seed=3)
    files = {
        name: {"name": f"{name}.png", "mimeType": "image/png", "buffer": png_of(picture)}
        for name, picture in {
            "moving": scene[20:120, 24:124],
            "fixed": scene[12:112, 20:120],
            "flat": photo(40, 40)[:1, :1].repeat(40, 0).repeat(40, 1),
        }.items()
    }
    with serve(tmp_path) as address, opened(browser, f"{address}/#align") as (page, complaints):
        status = page.locator("#align .legend")
        page.set_input_files("#align-moving", files["moving"])  # type: ignore[arg-type]
        expect(status).to_have_text("Choose the other picture, too.")
        page.set_input_files("#align-fixed", files["fixed"])  # type: ignore[arg-type]
        expect(status).to_contain_text(re.compile(r"^\d+ % sure · \d+ ms"), timeout=60_000)
        expect(page.locator("#align svg polyline")).to_have_count(18)
        warped = page.get_by_alt_text("The moving picture, laid on the fixed one")
        expect(warped).to_have_css("opacity", "0.5")
        page.get_by_label("Between the fixed picture and the moving one").focus()
        page.keyboard.press("End")
        expect(warped).to_have_css("opacity", "1")
        page.get_by_label("Wipe").check()
        page.get_by_label("Between the fixed picture and the moving one").press("Home")
        expect(warped).to_have_css("clip-path", "inset(0px 100% 0px 0px)")
        page.get_by_label("Refine, up to 2 s").check()
        expect(status).to_contain_text("refined")
        page.locator("#align").get_by_label("Grid").uncheck()
        expect(page.locator("#align svg polyline")).to_have_count(0)
        page.set_input_files("#align-fixed", files["flat"])  # type: ignore[arg-type]
        expect(page.locator("#align .notice")).to_contain_text("Fixed must show something: it is flat")
        expect(page.locator("#align .laid")).to_be_hidden()
        page.locator("#align").get_by_label("Grid").check()
        page.get_by_role("button", name="Try a sample").click()
        expect(status).to_contain_text("% sure")
        expect(page.locator("#align .laid")).to_be_visible()
        assert barriers(page) == []
        keep_screenshot(page, "align")
        page.set_viewport_size({"width": 375, "height": 812})
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        assert barriers(page) == []
        keep_screenshot(page, "align-phone-dark")
        assert [text for text in complaints if "422" not in text] == []
