"""Two pictures laid on each other in a real browser, by the aligner of the package."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from service.models.folder import SHIPPED_ALIGNER, register
from stn.config import to_dict
from tests.service.aligners import photo, png_of
from tests.service.jobs.driven import begun, store_at
from tests.service.page.browsing import barriers, keep_screenshot, serve
from tests.service.page.training import opened
from tests.training.test_align import CONFIG, quiet_fit
from training.runs import make_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_job_of_an_aligner_shows_its_pairs_and_its_own_metrics_and_leads_to_align(
    browser: Browser, tmp_path: Path
) -> None:
    store = store_at(tmp_path)
    store.create(to_dict(CONFIG))
    job = begun(store)
    run = tmp_path / "runs" / job.id
    make_run(run, CONFIG)
    scores = quiet_fit(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    job = store.record(job, [("metrics", line) for line in lines], step=4, steps=4, eta_seconds=0.0)
    store.finish(job, "succeeded", "trained to its end", scores=scores, model_version=1)
    store.close()
    register(tmp_path / "models", "align", run / "model.safetensors")
    with serve(tmp_path) as address, opened(browser, f"{address}/#jobs/{job.id}") as (page, complaints):
        expect(page.locator(".film h3")).to_have_text("How it lays pictures on each other")
        expect(page.locator(".film-frame")).to_have_count(2)
        expect(page.locator(".film output")).to_contain_text(re.compile(r"step 4: \d of 8 within 1 px"))
        item = page.locator(".film li").first
        expect(item.locator("img")).to_have_count(2)
        expect(item).to_contain_text(re.compile(r"[\d.]+ px.*% sure", re.DOTALL))
        expect(page.locator(".chart figcaption b")).to_have_text(
            ["Loss", "Distance", "Within 1 px", "Outlines, intersection over union"]
        )
        distance = lines[-1]["val/distance"]
        expect(page.locator(".chart .legend").nth(1)).to_have_text(f"Step 4: validation {distance:#.3g} px")
        page.locator(".curves summary").click()
        expect(page.locator(".curves thead")).to_contain_text("validation within 1 px")
        expect(page.locator("#jobs .report")).to_contain_text(f"Test distance {scores['test/distance']:#.3g} px")
        panels = page.request.get(f"{address}/v1/jobs/{job.id}/metrics?format=svg").text()
        assert "distance in pixels" in panels and "nothing measured" not in panels
        assert barriers(page) == []
        keep_screenshot(page, "align-job")
        page.get_by_role("link", name="Try this model").click()
        expect(page.locator("#align .legend")).to_have_text("By align, version 1.")
        page.get_by_role("button", name="Try a sample").click()
        expect(page.locator("#align .legend")).to_contain_text(re.compile("% sure.*align, version 1"))
        assert complaints == []


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
