"""How many answers a second the page shows while a pen moves over its pad.

    stn up &
    python benchmarks/page.py http://127.0.0.1:8000

Chromium draws for some seconds, a movement every 5 ms, and the guesses that were shown are counted. With --layers the grid
and all layers are asked for and drawn as well.
"""

import argparse
import os
import shutil
import time

from playwright.sync_api import Page, sync_playwright

COUNT = """() => {
    window.answers = 0;
    new MutationObserver(() => window.answers++).observe(document.getElementById("headline"), { childList: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--layers", action="store_true")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(options.address + ("#play?layers=*&grid=1" if options.layers else ""))
        page.wait_for_selector("#bars li")
        answers, seconds = draw(page, options.seconds)
        print(f"{answers} answers in {seconds:.1f} s: {answers / seconds:.1f} a second; {page.inner_text('#timing')!r}")
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        browser.close()


def draw(page: Page, seconds: float) -> tuple[int, float]:
    """The answers shown while a line is drawn for so long, and how long it took."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 110, box["y"] + 100)
    page.wait_for_timeout(500)
    page.evaluate(COUNT)
    began, step = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        step += 1
        page.mouse.move(box["x"] + 100 + step % 120, box["y"] + 100 + step % 90)
        page.wait_for_timeout(5)
    answers, passed = page.evaluate("answers"), time.monotonic() - began
    page.mouse.up()
    return answers, passed


if __name__ == "__main__":
    main()
