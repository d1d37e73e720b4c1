"""From the button at a model to the report of its measurement, in a real browser."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.service.jobs.driven import begun, store_at
from tests.service.page.browsing import HIDDEN, barriers, keep_screenshot, serve
from tests.service.page.training import opened
from tests.training.test_invariance import write
from training.invariance import main

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_model_is_measured_from_its_place_on_the_page(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    model = write(tmp_path / "models" / "mine" / "1.safetensors")
    with serve(tmp_path) as address, opened(browser, f"{address}/#play") as (page, complaints):
        page.get_by_role("button", name="Measure its invariance").click()
        expect(page).to_have_url(re.compile("#jobs/[0-9a-z]+$"))
        expect(page.locator("#jobs .state")).to_have_text("queued")
        expect(page.locator("#jobs .sides")).to_contain_text("invariance of version 1 · its own data")
        expect(page.locator("#jobs .curves")).to_be_hidden()
        expect(page.locator("#jobs .actions .button:visible")).to_have_text(["Cancel"])
        store = store_at(tmp_path)
        job = begun(store)
        run = tmp_path / "runs" / job.id
        (tmp_path / "asked").write_text(json.dumps({"invariance": {"images": 20, "movements": ["rotation", "shear"]}}))
        assert main([str(model), str(tmp_path / "asked"), "--output", str(run / "report")]) == 0
        page.route("**/train/measured.js", lambda route: route.abort())
        assert complaints == []
        store.record(job, [], step=980, steps=980, eta_seconds=0.0)
        store.finish(job, "succeeded", "measured to its end", scores={"accuracy": 0.1})
        store.close()
        notice = page.locator("#jobs .notice")
        expect(notice).to_contain_text("This part of the page did not come: check that the service still runs")
        page.unroute("**/train/measured.js")
        page.evaluate(HIDDEN.format("false"))  # as when somebody comes back to the tab
        expect(notice).to_be_hidden()
        expect(page.locator(".measured tbody tr")).to_have_count(2)
        expect(page.locator(".measured tbody tr").first).to_contain_text("-45 to 45")
        expect(page.locator(".measured img")).to_have_js_property("complete", True)
        assert page.locator(".measured img").evaluate("image => image.naturalWidth") > 800
        expect(page.locator("#jobs .report")).to_contain_text("Accuracy 10.0 %Open the report")
        expect(page.locator("#jobs .sides")).to_contain_text("picture 980 of 980")
        assert barriers(page) == []
        keep_screenshot(page, "measured")
        page.set_viewport_size({"width": 375, "height": 812})
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        assert barriers(page) == []
        keep_screenshot(page, "measured-phone-dark")
        page.get_by_role("link", name="← Jobs").click()
        expect(page.locator("#jobs li")).to_contain_text("invariance of version 1 · its own data")
        assert {*complaints} == {"error: Failed to load resource: net::ERR_FAILED"}  # the part that did not come
