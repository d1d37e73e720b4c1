"""Data sets and jobs in the browser: pages that tell of complaints, and pictures to upload."""

import contextlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.service.page.browsing import tell

expect.set_options(timeout=20_000)  # milliseconds: trainings may keep all processors busy


@contextlib.contextmanager
def opened(
    browser: Browser, address: str, width: int = 1280, scheme: Any = "light"
) -> Iterator[tuple[Page, list[str]]]:
    """A page of its own at this address, and what the browser complains about."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(60_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(tell(message)))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page, complaints
    context.close()


def zipped(classes: Mapping[str, int], **others: bytes) -> bytes:
    """A zip file with so many pictures of each class, or of the class "" alone, and other files by name."""
    numbers = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, count in classes.items():
            for index in range(count):
                picture = io.BytesIO()
                Image.fromarray(numbers.integers(0, 256, (16, 16), dtype=np.uint8)).save(picture, "PNG")
                archive.writestr(f"{name}/{index}.png".lstrip("/"), picture.getvalue())
        for name, content in others.items():
            archive.writestr(name, content)
    return file.getvalue()


def drop(page: Page, selector: str, name: str, content: bytes) -> None:
    """Let go of a file over this element."""
    page.evaluate(
        """([selector, name, bytes]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
            const options = { bubbles: true, cancelable: true, dataTransfer };
            for (const kind of ["dragover", "drop"]) {
                document.querySelector(selector).dispatchEvent(new DragEvent(kind, options));
            }
        }""",
        [selector, name, list(content)],
    )
