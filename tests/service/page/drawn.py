"""The modules that draw an answer, on a page of a real server."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page

PNG = {"Content-Type": "image/png"}


def ask(page: Page, body: bytes, **query: Any) -> Any:
    """What the API says of a picture."""
    address = page.url.partition("#")[0].rstrip("/")
    response = page.request.post(f"{address}/v1/predict", params=query, data=body, headers=PNG)
    assert response.ok, response.text()
    return response.json()["predictions"][0]


def info_of(page: Page, model: str) -> Any:
    address = page.url.partition("#")[0].rstrip("/")
    return page.request.get(f"{address}/v1/models/{model}").json()["versions"][-1]


def run(page: Page, module: str, call: str, *values: object) -> Any:
    """What the function `call`, which takes the module and the values, returns in the browser."""
    return page.evaluate(
        f"async (values) => ({call})(await import('/static/play/{module}.js'), ...values)",
        json.loads(json.dumps(values)),
    )


@contextlib.contextmanager
def cleared(browser: Browser, address: str) -> Iterator[Page]:
    """The page with an empty element, `#drawn`, where the views were."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(address)
    page.evaluate(
        """() => {
            const drawn = Object.assign(document.createElement("div"), { id: "drawn" });
            document.querySelector("main").replaceChildren(drawn);
        }"""
    )
    yield page
    context.close()
