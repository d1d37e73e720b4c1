"""The page in a browser: servers, models and pictures for it, and what it shows."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

import stn
from service.settings import Settings
from tests.service.serving import serving

THETA = [0.6, -0.3, 0.25, 0.3, 0.6, -0.1]
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
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    listen(page)
    page.goto(address)
    expect(page.locator("#model option")).not_to_have_text("\u00a0")
    yield page
    context.close()


def save_tiny_model(path: Path, transform: Any = "affine") -> None:
    images = stn.InputConfig(channels=1, height=16, width=16, mean=(0.4,), std=(0.3,))
    config = stn.ModelConfig(transform=transform, filters=(4,), units=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = stn.build_model(config, images, len(CLASS_NAMES))
    with torch.no_grad():
        bias = model.transformer.localization[-1].theta.bias
        bias.copy_(model.transformer.transform.from_matrix(torch.tensor(THETA).view(1, 2, 3))[0])
    path.parent.mkdir(parents=True)
    stn.save_model(path, model, stn.ModelInfo(config=config, input=images, class_names=CLASS_NAMES))


def picture(name: str = "picture.png", width: int = 24) -> dict[str, Any]:
    """A file for the chooser: a white bar on grey, 24 pixels high."""
    image = Image.new("L", (width, 24), 40)
    image.paste(255, (width // 2 - 2, 4, width // 2 + 2, 20))
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": file.getvalue()}


def tell(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"


def keep_screenshot(page: Page, name: str) -> None:
    folder = os.environ.get("STN_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
