"""The layers of a network as tiles, and the part of the picture that each unit sees, in a real browser."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.service.page.browsing import CLASS_NAMES, keep_screenshot, save_tiny_model, serve
from tests.service.page.drawn import PNG, ask, cleared, info_of, run

pytestmark = pytest.mark.browser

INCLUDE = "transformed,theta,outline,input,activations"
THETA = "0.5,-0.1,0.1,0.15,0.6,-0.2"
SIDE = 32  # of the picture; the network's input has 16


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    save_tiny_model(home / "models" / "tiny" / "1.safetensors")
    with serve(home) as address:
        yield address


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with cleared(browser, address) as page:
        yield page


def test_every_layer_has_a_switch_and_what_is_off_costs_nothing(page: Page) -> None:
    answer = draw(page, [])
    layers = [layer["layer"] for layer in answer["activations"]]
    before = [layer for layer, entry in zip(layers, answer["activations"], strict=True) if entry["of"] == "input"]
    after = layers[len(before) :]
    expect(page.get_by_role("switch")).to_have_count(len(layers) + 3)
    assert page.locator(".layer-tiles canvas").evaluate_all("all => all.every((e) => e.width === 300)")  # never drawn
    page.get_by_role("switch", name="Show Output").check()
    assert page.evaluate("shown") == ["output"]
    expect(page.locator(".layer-tiles canvas:visible")).to_have_count(1)
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".layer-tiles canvas:visible")).to_have_count(len(layers) + 3)
    page.get_by_role("switch", name="Show Input").uncheck()
    assert page.evaluate("shown") == [*before, "transformed", *after, "output"]
    page.get_by_role("button", name="Show none").click()
    expect(page.locator(".layer-tiles canvas:visible")).to_have_count(0)


def test_a_unit_tells_what_the_layer_gives_there(page: Page) -> None:
    answer = draw(page, ["*"])
    exact = arrays(page, photo())
    for place, layer in enumerate(answer["activations"]):
        values = exact[f"activations.{layer['layer']}"][0]
        canvas = canvas_of(page, answer, place)
        canvas.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        told = canvas.locator("xpath=../..").locator("output").inner_text()
        where, value = told.split(": ")
        if values.ndim == 1:
            unit = int(where.removeprefix("unit "))
            expected, step = values[unit], 0.0
        else:
            assert where.startswith("unit (") and " of channel " in where
            pair, channel = where.removeprefix("unit (").split(") of channel ")
            i, j = (int(number) for number in pair.split(", "))
            expected = values[int(channel), i, j]
            step = float(np.ptp(values[int(channel)])) / 255
        assert float(value.replace("\N{MINUS SIGN}", "-")) == pytest.approx(expected, abs=step + 0.006)  # two digits


def test_a_unit_of_the_localization_net_sees_a_rectangle_of_the_input(page: Page) -> None:
    answer = draw(page, ["*"])
    place, layer = next(
        (place, layer) for place, layer in enumerate(answer["activations"]) if layer["of"] == "input" and layer["sees"]
    )
    canvas_of(page, answer, place).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    (top, left), (height, width) = layer["sees"]["start"], layer["sees"]["size"]
    top, left = top + 2 * layer["sees"]["stride"][0], left + 3 * layer["sees"]["stride"][1]
    corners = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    np.testing.assert_allclose(page.evaluate("hovers.at(-1)"), corners.clip(0, 16) * SIDE / 16, atol=1e-9)
    middle = corners.clip(0, 16).mean(0) / 16
    red, _, blue, _ = page.locator(".layer-lens canvas").evaluate(
        """(canvas, [x, y]) => Array.from(
            canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data)""",
        middle.tolist(),
    )
    assert blue > red + 40  # the picture is grey
    page.keyboard.press("Escape")
    assert page.evaluate("hovers.at(-1)") is None


@pytest.mark.parametrize("of", ["input", "transformed"])
def test_only_the_region_shown_changes_a_unit(page: Page, of: str) -> None:
    body = photo()
    answer = draw(page, ["*"], body=body, theta=THETA if of == "transformed" else None)
    layers = [layer for layer in answer["activations"] if layer["of"] == of and layer["kind"] == "convolution"]
    layer = layers[0]
    i, j = layer["shape"][1] // 2, layer["shape"][2] // 2
    region = run(
        page,
        "sees",
        "({ seenBy }, layer, unit, size, answer, info) => seenBy(layer, unit, size, answer, info)",
        *(layer, [i, j], [16, 16], answer, info_of(page, "tiny")),
    )
    name = f"activations.{layer['layer']}"
    query = {"theta": THETA} if of == "transformed" else {}
    before = arrays(page, body, **query)[name][0, :, i, j]
    distance = signed_distances(np.array(region))
    pixels = np.asarray(Image.open(io.BytesIO(body)))
    margin = 2 * SIDE / 16  # of the picture: what resampling to 16 and sampling there read of their neighbours
    outside, inside = pixels.copy(), pixels.copy()
    outside[distance > margin] = 255 - outside[distance > margin]
    inside[distance < -1] = 255 - inside[distance < -1]
    assert (distance > margin).sum() > 100 and (distance < -1).sum() > 10
    np.testing.assert_allclose(arrays(page, png(outside), **query)[name][0, :, i, j], before, atol=1e-5)
    assert np.abs(arrays(page, png(inside), **query)[name][0, :, i, j] - before).max() > 0.01


def test_pointer_finds_the_unit_under_it(page: Page) -> None:
    answer = draw(page, ["*"])
    place = next(place for place, layer in enumerate(answer["activations"]) if layer["shape"][0] == 4)
    canvas = canvas_of(page, answer, place)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    rows, columns = answer["activations"][place]["shape"][1:]
    tile = (box["width"] - 3 * 3) / 4
    page.mouse.move(box["x"] + tile + 3 + 2.5 * tile / columns, box["y"] + 1.5 * tile / rows)
    told = canvas.locator("xpath=../..").locator("output")
    expect(told).to_contain_text("unit (1, 2) of channel 1: ")
    page.mouse.move(0, 0)
    expect(told).to_be_empty()
    assert page.evaluate("hovers.at(-1)") is None


def test_colours_are_the_layers_or_each_channels_own(page: Page) -> None:
    answer = draw(page, ["*"])
    place, layer = next((k, entry) for k, entry in enumerate(answer["activations"]) if entry["shape"][0] == 4)
    legend = canvas_of(page, answer, place).locator("xpath=../..").locator(".layer-legend span")
    assert "each" in legend.nth(0).inner_text()
    page.get_by_role("combobox", name="Colour scale").select_option("global")
    assert page.evaluate("scale") == "global"
    page.evaluate("layers.update({ ...state, scale })")
    most = max(-layer["minimum"], layer["maximum"]) if layer["minimum"] < 0 else layer["maximum"]
    expect(legend.nth(1)).to_have_text(f"{most:.2f}")


def test_colours_run_evenly_from_dark_to_bright(page: Page) -> None:
    sequential, diverging = run(
        page,
        "colours",
        """({ coloursOf }) => ["sequential", "diverging"].map(
            (kind) => [false, true].map((dark) => Array.from(coloursOf(kind, dark))))""",
    )
    for dark in (False, True):
        lightness = lightness_of(sequential[dark])
        steps = np.diff(lightness) * (1 if dark else -1)
        assert np.ptp(lightness) > 0.6 and steps.min() > -0.004 and steps.max() < 0.012  # eight bits are not even
        both = lightness_of(diverging[dark])
        assert abs(both[127] - both[128]) < 0.02
        assert (both[[0, 255]] - both[127] > 0.5).all() if dark else (both[127] - both[[0, 255]] > 0.5).all()


def test_layers_without_an_answer_stay_listed(page: Page) -> None:
    answer = draw(page, ["*"])
    count = page.get_by_role("switch").count()
    page.evaluate("layers.update({ ...state, activations: null })")
    assert page.get_by_role("switch").count() == count
    expect(page.locator(".layer .quiet:visible").first).to_have_text("Comes with the next answer.")
    given = ask(page, photo(), include=INCLUDE, theta="identity")
    page.evaluate("(given) => layers.update({ ...state, activations: given.activations, prediction: given })", given)
    missing = len(answer["activations"]) - len(given["activations"])
    assert missing > 0
    expect(page.locator(".layer .quiet:visible")).to_have_count(missing)
    expect(page.locator(".layer .quiet:visible").first).to_contain_text("theta is given by hand")


def test_output_names_its_classes(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    answer = draw(page, ["*"])
    canvas = page.locator(".layer-tiles canvas").last
    canvas.focus()
    told = canvas.locator("xpath=../..").locator("output")
    name = CLASS_NAMES[0]
    expect(told).to_have_text(f"{name}: {answer['probabilities'][name]:.2f}")
    keep_screenshot(page, f"layers-{scheme}")


# How


def draw(page: Page, shown: list[str], body: bytes | None = None, theta: str | None = None) -> Any:
    """Show the layers of an answer, and return it; what is wanted then is in `shown`, `scale` and `hovers`."""
    query = {} if theta is None else {"theta": theta}
    answer = ask(page, body or photo(), include=INCLUDE, **query)
    run(
        page,
        "layers",
        """async ({ createLayers }, prediction, info, shown) => {
            Object.assign(window, { hovers: [], state: { activations: prediction.activations, prediction, info, shown } });
            window.layers = createLayers(document.querySelector("#drawn"), {
                onShow: (shown) => { window.shown = shown; window.drawing = layers.update({ ...state, shown }); },
                onScale: (scale) => { window.scale = scale; },
                onHover: (points) => hovers.push(points),
            });
            await layers.update(state);
        }""",
        *(answer, info_of(page, "tiny"), shown),
    )
    return answer


def canvas_of(page: Page, answer: Any, place: int) -> Any:
    """The tiles of this layer of the answer: before it stands the input, and the transformed picture where that was made."""
    of_input = sum(layer["of"] == "input" for layer in answer["activations"])
    return page.locator(".layer-tiles canvas").nth(place + 1 + (place >= of_input))


def arrays(page: Page, body: bytes, **query: str) -> Any:
    """The exact values of the layers."""
    address = page.url.partition("#")[0].rstrip("/")
    response = page.request.post(
        f"{address}/v1/predict",
        params={"include": "activations", **query},
        data=body,
        headers={**PNG, "Accept": "application/x-npz"},
    )
    assert response.ok, response.text()
    return dict(np.load(io.BytesIO(response.body())))


def photo() -> bytes:
    """Noise, so that every layer has something to see everywhere."""
    return png(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def signed_distances(polygon: np.ndarray) -> np.ndarray:
    """Of the centre of every pixel to the border of a convex polygon that runs clockwise; negative inside."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    after = np.roll(polygon, -1, axis=0)
    along = (after - polygon) / np.linalg.norm(after - polygon, axis=1, keepdims=True)
    outward = [dy * (x - px) - dx * (y - py) for (px, py), (dx, dy) in zip(polygon, along, strict=True)]
    return np.max(outward, axis=0)


def lightness_of(table: list[int]) -> np.ndarray:
    """OKLab's lightness of 256 colours."""
    srgb = np.array(table).reshape(256, 3) / 255
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array([0.2104542553, 0.7936177850, -0.0040720468])
