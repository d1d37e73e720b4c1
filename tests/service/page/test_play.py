"""Pictures in Play, against a real server with a real tiny model."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.service.page.browsing import (
    CLASS_NAMES,
    HIDDEN,
    keep_screenshot,
    open_page,
    picture,
    save_tiny_model,
    serve,
    tell,
)

pytestmark = pytest.mark.browser

TIMES = "\N{MULTIPLICATION SIGN}"
FOLLOWING = (255, 116, 70)
NOT_A_PICTURE = {"name": "note.png", "mimeType": "image/png", "buffer": b"these bytes are text"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    save_tiny_model(home / "models" / "tiny" / "1.safetensors")
    save_tiny_model(home / "models" / "zoo" / "1.safetensors", "projective")
    with serve(home) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with open_page(browser, address) as page:
        expect(page.locator("#bars li")).to_have_count(len(CLASS_NAMES))
        yield page


def test_chosen_picture_is_shown_with_the_answer_of_the_api(page: Page) -> None:
    file = picture()
    page.set_input_files("#file", file)
    expect(page.locator("#headline .runner-up")).to_be_visible()
    answer = _ask(page, file["buffer"])
    best, other = sorted(answer["probabilities"], key=answer["probabilities"].get, reverse=True)[:2]
    assert page.get_attribute("#headline", "data-first") == best == answer["class"]
    assert page.get_attribute("#headline", "data-second") == other
    expect(page.locator("#headline .runner-up")).to_contain_text(f"Second guess: {other}")
    assert page.locator("#bars .name").all_inner_texts() == list(CLASS_NAMES)
    assert _values(page.locator("#bars data")) == [answer["probabilities"][name] for name in CLASS_NAMES]
    assert page.get_attribute("#sight .sight-frame img", "src") == answer["transformed"]
    keep_screenshot(page, "play-picture")


def test_the_region_lies_on_the_pad_where_the_api_says(page: Page) -> None:
    file = picture()
    page.set_input_files("#file", file)
    expect(page.locator("#follow polygon")).to_be_attached()
    answer = _ask(page, file["buffer"])
    pad = page.locator("#pad").bounding_box()
    assert pad is not None
    expected = np.array(answer["outline"]) * (pad["width"] / answer["width"]) + [pad["x"], pad["y"]]
    np.testing.assert_allclose(_corners_on_screen(page), expected, atol=0.2)  # layout rounds to 1/64 pixel
    assert np.ptp(np.linalg.norm(np.diff(expected, axis=0), axis=1)) < 1  # a turned square, not the whole picture
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    for middle in (expected + np.roll(expected, 1, axis=0)) / 2:
        x, y = middle.round().astype(int)
        if pad["x"] + 3 < x < pad["x"] + pad["width"] - 3 and pad["y"] + 3 < y < pad["y"] + pad["height"] - 3:
            around = shot[y - 2 : y + 3, x - 2 : x + 3]
            assert np.abs(around - FOLLOWING).max(-1).min() < 48  # one pixel of the edge, smoothed


def test_jpeg_is_drawn_upright_as_its_exif_data_say(page: Page) -> None:
    image = Image.new("RGB", (32, 16), "blue")
    image.paste("red", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored left edge is shown at the top
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, quality=95)
    page.set_input_files("#file", {"name": "turned.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()})
    expect(page.locator("#source-size")).to_have_text(f"16 {TIMES} 32")
    read = """(y) => {
        const pad = document.getElementById("pad");
        return Array.from(pad.getContext("2d").getImageData(pad.width / 2, y * pad.height, 1, 1).data);
    }"""
    top, bottom = page.evaluate(read, 0.1), page.evaluate(read, 0.9)
    assert top[0] > 200 > 60 > top[2]
    assert bottom[2] > 200 > 60 > bottom[0]


def test_a_picture_is_turned_by_the_sliders_and_sent_as_it_lies(page: Page) -> None:
    page.set_input_files("#file", picture())
    expect(page.locator("#curl")).to_contain_text("--data-binary @'picture.png'")
    page.locator("#view-angle").fill("90")
    expect(page.locator("#curl")).to_contain_text("base64 -d")
    read = """([x, y]) => {
        const pad = document.getElementById("pad");
        return pad.getContext("2d").getImageData(x * pad.width, y * pad.height, 1, 1).data[0];
    }"""
    assert page.evaluate(read, [0.2, 0.5]) > 200 > 60 > page.evaluate(read, [0.5, 0.2])  # the bar lies down


def test_file_that_is_no_picture_is_answered_with_the_reason_and_the_next_one_works(page: Page) -> None:
    page.set_input_files("#file", NOT_A_PICTURE)
    expect(page.locator("#headline")).to_contain_text("must be one of PNG, JPEG, WEBP, GIF, BMP")
    expect(page.locator("#headline")).to_contain_text("note.png")
    expect(page.locator("#follow polygon")).to_have_count(0)
    expect(page.locator("#view-angle")).to_be_disabled()
    keep_screenshot(page, "play-failed")
    page.set_input_files("#file", picture())
    expect(page.locator("#headline .runner-up")).to_be_visible()
    expect(page.locator("#view-angle")).to_be_enabled()


def test_stale_answer_is_dropped(page: Page) -> None:
    held: list[Route] = []
    page.route("**/v1/predict*", lambda route: route.continue_() if held else held.append(route))
    page.set_input_files("#file", picture("first.png", width=16))
    while not held:
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)
    assert len(held) == 1
    page.set_input_files("#file", picture("second.png", width=40))
    expect(page.locator("#source-size")).to_have_text(f"40 {TIMES} 24")
    held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.locator("#source-size")).to_have_text(f"40 {TIMES} 24")
    expect(page.locator("#curl")).to_contain_text("second.png")


def test_while_a_model_does_not_answer_no_guess_of_another_is_left_standing(page: Page) -> None:
    page.set_input_files("#file", picture())
    expect(page.locator("#headline .runner-up")).to_be_visible()
    held: list[Route] = []
    page.route("**/v1/predict*", lambda route: held.append(route))
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator("#headline")).to_contain_text("Nothing is on the pad.")
    expect(page.locator(".sight-lines")).to_be_hidden()
    page.set_input_files("#file", picture())
    expect(page.locator("#headline")).to_contain_text("Waiting for ")
    expect(page.locator("#headline")).to_contain_text(", version 1. A new model takes a while.")
    for route in held:
        route.continue_()
    expect(page.locator("#headline .runner-up")).to_be_visible()


def test_a_service_that_is_gone_is_asked_again_less_and_less_and_only_while_the_page_is_seen(
    browser: Browser, address: str
) -> None:
    asked: list[str] = []
    with open_page(browser, address, lambda page: page.clock.install()) as page:
        page.route("**/v1/predict*", lambda route: (asked.append(route.request.url), route.abort()))
        page.set_input_files("#file", picture())
        for count, seconds in ((1, 0), (2, 1), (3, 2)):
            _pass(page, seconds)
            expect(page.locator("#headline")).to_contain_text("The service does not answer")
            assert len(asked) == count
        _pass(page, 3)  # of four
        assert len(asked) == 3
        page.evaluate(HIDDEN.format("true"))
        _pass(page, 600)
        assert len(asked) == 3
        page.unroute("**/v1/predict*")
        page.evaluate(HIDDEN.format("false"))
        expect(page.locator("#headline .runner-up")).to_be_visible()


def test_models_are_asked_for_no_longer_once_one_has_left(browser: Browser, address: str) -> None:
    asked: list[str] = []
    with open_page(browser, address, lambda page: page.clock.install()) as page:
        page.route("**/v1/models", lambda route: (asked.append(route.request.url), route.abort()))
        page.evaluate("location.hash = '#play?grid=1'")
        expect(page.locator("#notice")).to_contain_text("The service does not answer")
        page.get_by_role("link", name="Align").click()
        expect(page.locator("#align h2")).to_be_visible()
        expect(page.locator("#notice")).to_be_hidden()
        _pass(page, 60)
        assert len(asked) == 1
        page.get_by_role("link", name="Play").click()
        expect(page.locator("#notice")).to_be_visible()
        assert len(asked) == 2


def _pass(page: Page, seconds: int) -> None:
    """So much time on the page's own clock, and a little here for what that begins."""
    page.clock.fast_forward(1000 * seconds)
    page.wait_for_timeout(200)


def test_several_pictures_are_answered_each_and_a_bad_one_fails_alone(page: Page) -> None:
    page.set_input_files("#file", [picture("a.png", width=16), NOT_A_PICTURE, picture("c.png", width=40)])
    entries = page.locator("#strip button")
    expect(entries.nth(1)).to_have_text("failed")
    expect(entries.nth(2)).not_to_have_text("…")
    expect(page.locator("#source-size")).to_have_text(f"16 {TIMES} 24")
    entries.nth(2).click()
    expect(page.locator("#source-size")).to_have_text(f"40 {TIMES} 24")
    expect(entries.nth(2)).to_have_attribute("aria-current", "true")
    entries.nth(1).click()
    expect(page.locator("#headline .failed")).to_have_text("note.png")


def test_pictures_are_named_again_by_another_model_with_other_classes(browser: Browser, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "models" / "a" / "1.safetensors")
    save_tiny_model(tmp_path / "models" / "b" / "1.safetensors", class_names=("x", "y"))
    with serve(tmp_path) as address, open_page(browser, address) as page:
        page.set_input_files("#file", [picture("a.png", width=16), picture("b.png", width=40)])
        labels = page.locator("#strip button span")
        names = {"a": re.compile("^(10|9|bird)$"), "b": re.compile("^[xy]$")}
        for model in ("a", "b", "a"):
            page.select_option("#model", label=f"{model}, version 1")
            expect(labels).to_have_text([names[model]] * 2)
            expect(page.locator("#bars .name").first).to_have_text(names[model])


def test_the_only_model_has_none_beside_it_and_says_so(browser: Browser, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "models" / "tiny" / "1.safetensors")
    with serve(tmp_path) as address, open_page(browser, address) as page:
        expect(page.get_by_label("Model", exact=True)).to_be_disabled()
        expect(page.get_by_label("Beside it")).to_be_disabled()
        expect(page.locator("#second option")).to_have_text(["no other model yet"])


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_picture_is_taken_from_clipboard_and_pointer(page: Page, kind: str) -> None:
    page.evaluate(
        """([kind, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "given.png", { type: "image/png" }));
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(kind === "paste"
                ? new ClipboardEvent("paste", { ...options, clipboardData: data })
                : new DragEvent("drop", { ...options, dataTransfer: data }));
        }""",
        [kind, list(picture()["buffer"])],
    )
    expect(page.locator("#headline .runner-up")).to_be_visible()
    expect(page.locator("#curl")).to_contain_text("given.png")


def test_a_camera_that_is_missing_is_told_in_a_sentence(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("dialog")).to_contain_text("This device has no camera")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_camera_gives_a_picture_and_is_off_afterwards(page: Page) -> None:
    page.evaluate(
        """() => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
            canvas.getContext("2d").fillRect(0, 0, 64, 48);
            window.stream = canvas.captureStream(30);
            navigator.mediaDevices.getUserMedia = async () => window.stream;
            setInterval(() => canvas.getContext("2d").fillRect(0, 0, 64, 48), 20);
        }"""
    )
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.locator("#source-size")).to_have_text(f"48 {TIMES} 48")
    assert page.evaluate("stream.getTracks().map((track) => track.readyState)") == ["ended"]


def test_a_second_model_is_asked_beside_the_first(page: Page) -> None:
    page.set_input_files("#file", picture())
    expect(page.locator("#headline .runner-up")).to_be_visible()
    expect(page.locator("#second option")).to_have_text(["nothing", "zoo, version 1"])
    with page.expect_request(lambda request: "model=zoo" in request.url):
        page.select_option("#second", label="zoo, version 1")
    expect(page.locator("#comparison h3")).to_have_text(["tiny, version 1", "zoo, version 1"])
    with page.expect_request(lambda request: "model=zoo" in request.url and "include=theta" in request.url):
        page.select_option("#model", label="zoo, version 1")
    expect(page.locator("#facts")).to_contain_text("projective transformer")


def test_page_asks_no_other_host_and_the_browser_has_no_complaint(browser: Browser, address: str) -> None:
    complaints: list[str] = []
    urls: list[str] = []

    def listen(page: Page) -> None:
        page.on("console", lambda message: complaints.append(tell(message)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda response: complaints.append(response.url) if response.status >= 400 else None)
        page.on("request", lambda request: urls.append(request.url))

    with open_page(browser, address, listen) as page:
        page.set_input_files("#file", [picture("a.png"), picture("b.png")])
        expect(page.locator("#strip button").nth(1)).not_to_have_text("…")
        expect(page.locator("#headline .runner-up")).to_be_visible()
        page.locator("#gallery button").first.click()
        page.locator("#compare").check()
        page.locator("#inside summary").click()
        page.wait_for_timeout(800)
    assert complaints == []
    assert any(url.startswith(f"{address}/v1/predict") for url in urls)
    assert [url for url in urls if not url.startswith((address, f"blob:{address}", "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_needs_no_horizontal_scrolling(browser: Browser, address: str, scheme: str) -> None:
    with open_page(browser, address, width=375, height=812, scheme=scheme) as page:
        page.set_input_files("#file", [picture(f"a rather long name of a picture {index}.png") for index in range(9)])
        expect(page.locator("#headline .runner-up")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        keep_screenshot(page, f"play-phone-strip-{scheme}")


def test_keyboard_alone_reaches_the_file_chooser(page: Page) -> None:
    page.on("filechooser", lambda chooser: None)  # choosers are caught from here on; `expect` alone may be too late
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "file":
            break
    expect(page.locator("#file")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(picture())
    expect(page.locator("#headline .runner-up")).to_be_visible()


@pytest.mark.parametrize("transform", ["projective", "thin_plate_spline"])
def test_a_region_that_tilts_or_bends_follows_on_the_pad(browser: Browser, tmp_path: Path, transform: str) -> None:
    save_tiny_model(tmp_path / "models" / "bent" / "1.safetensors", transform)
    with serve(tmp_path) as address, open_page(browser, address) as page:
        file = picture()
        page.set_input_files("#file", file)
        expect(page.locator("#follow polygon")).to_be_attached()
        answer = _ask(page, file["buffer"])
        assert len(_corners_on_screen(page)) == len(answer["outline"])
        keep_screenshot(page, f"play-{transform}")


def test_page_without_a_model_says_how_to_train_one(browser: Browser, tmp_path: Path) -> None:
    with serve(tmp_path) as address, open_page(browser, address) as page:
        expect(page.locator("#notice")).to_contain_text("stn train digits")


def _ask(page: Page, buffer: bytes) -> Any:
    """What the API says of the picture, asked beside the page."""
    address = page.url.partition("#")[0].rstrip("/")
    response = page.request.post(f"{address}/v1/predict", data=buffer, headers={"Content-Type": "image/png"})
    return response.json()["predictions"][0]


def _values(elements: Locator) -> list[float]:
    return [float(element.get_attribute("value") or "nan") for element in elements.all()]


def _corners_on_screen(page: Page) -> Any:
    return np.array(
        page.evaluate(
            """() => {
                const edge = document.querySelector("#follow polygon");
                const toScreen = edge.getScreenCTM();
                return Array.from(edge.points, (point) => point.matrixTransform(toScreen)).map(({ x, y }) => [x, y]);
            }"""
        )
    )
