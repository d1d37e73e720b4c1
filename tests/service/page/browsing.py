"""The page in a browser: servers, models and pictures for it, and what it shows."""

import contextlib
import importlib.resources
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

import stn
from service.models.folder import register_shipped
from service.settings import Settings
from tests.service.serving import serving

THETA = [0.6, -0.3, 0.25, 0.3, 0.6, -0.1]
HIDDEN = """() => {{
    Object.defineProperty(document, "hidden", {{ value: {}, configurable: true }});
    document.dispatchEvent(new Event("visibilitychange"));
}}"""
CLASS_NAMES = ("10", "9", "bird")  # a JavaScript object would put "9" first


@contextlib.contextmanager
def serve(home: Path) -> Iterator[str]:
    """The address of a server of this home folder, in a thread of this process."""
    with serving(Settings(home=home)) as place:
        yield f"http://{place}"


@contextlib.contextmanager
def open_page(
    browser: Browser,
    address: str,
    listen: Any = lambda page: None,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: Any = "light",
    touch: bool = False,
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=touch)
    page = context.new_page()
    listen(page)
    page.goto(address)
    expect(page.locator("#model option").first).not_to_have_text("\u00a0")
    yield page
    context.close()


@contextlib.contextmanager
def serve_shipped(home: Path) -> Iterator[str]:
    """The same with the model that comes with the package."""
    register_shipped(home / "models")
    with serve(home) as address:
        yield address


def save_tiny_model(path: Path, transform: Any = "affine", class_names: tuple[str, ...] = CLASS_NAMES) -> None:
    images = stn.InputConfig(channels=1, height=16, width=16, mean=(0.4,), std=(0.3,))
    config = stn.ModelConfig(transform=transform, filters=(4,), units=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = stn.build_model(config, images, len(class_names))
    with torch.no_grad():
        bias = model.transformer.localization[-1].theta.bias
        bias.copy_(model.transformer.transform.from_matrix(torch.tensor(THETA).view(1, 2, 3))[0])
    path.parent.mkdir(parents=True)
    stn.save_model(path, model, stn.ModelInfo(config=config, input=images, class_names=class_names))


def picture(name: str = "picture.png", width: int = 24) -> dict[str, Any]:
    """A file for the chooser: a white bar on grey, 24 pixels high."""
    image = Image.new("L", (width, 24), 40)
    image.paste(255, (width // 2 - 2, 4, width // 2 + 2, 20))
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": file.getvalue()}


def tell(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"


def barriers(page: Page) -> list[str]:
    """What keeps somebody from using the page as it is now: the serious and critical findings of axe-core."""
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed: pip install -e .[dev]")
    page.evaluate((importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def keep_screenshot(page: Page, name: str) -> None:
    folder = os.environ.get("STN_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
