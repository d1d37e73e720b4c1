"""Makes the pictures of the page in the README and docs/page.md, against a service that runs: two minutes of training.

    stn up &
    python docs/page_pictures.py http://127.0.0.1:8000

page.png is an entry of the gallery as it is drawn and turned, page-layers.png the first layers that see it straightened,
page-job.png a job of the preset digits that is asked to undo the distortion.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

HERE = Path(__file__).parent
WIDTH = 1160
JOB = {"preset": "digits", "name": "straightened", "optimizer": {"straighten": 2}, "trainer": {"max_epochs": 30}}


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        page.goto(address)
        play(page)
        layers(page)
        job(page, address)
        browser.close()


def play(page: Page) -> None:
    page.locator("#gallery button").nth(1).click()
    page.get_by_role("button", name="Move", exact=True).click()
    page.locator("#theta .words").wait_for()
    keep(page, "page", 0, 970)


def layers(page: Page) -> None:
    page.locator("#inside summary").click()
    page.get_by_role("button", name="Show all").click()
    group = page.locator(".layer-group", has_text="Class layers")
    group.wait_for()
    page.wait_for_timeout(1000)  # they are drawn
    keep(page, "page-layers", top_of(group), 860)


def job(page: Page, address: str) -> None:
    made = page.request.post(f"{address}/v1/jobs", data=JOB).json()
    page.goto(f"{address}/#jobs/{made['id']}")
    page.locator("#jobs .state", has_text="succeeded").wait_for(timeout=900_000)
    page.locator("#film-at").focus()
    page.keyboard.press("End")
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(500)
    keep(page, "page-job", 0, top_of(page.get_by_role("heading", name="Log")))


def top_of(part: Locator) -> float:
    """Where it begins, in pixels of the whole page."""
    return float(part.evaluate("node => node.getBoundingClientRect().top + scrollY"))


def keep(page: Page, name: str, top: float, height: float) -> None:
    """That part of the page, in 256 colours."""
    shot = page.screenshot(full_page=True, clip={"x": 0, "y": top, "width": WIDTH, "height": height})
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(256).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
