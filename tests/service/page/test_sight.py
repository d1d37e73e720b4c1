"""The sampled region over the input, in a real browser with answers of a real server: drawn, dragged, told in words."""

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import stn
from service.predicting.images import Picture, read_picture
from stn.config import InputConfig
from tests.service.page.browsing import keep_screenshot, picture, save_tiny_model, serve
from tests.service.page.drawn import ask, cleared, info_of, run
from tests.training.jobs.workers import wait_for

pytestmark = pytest.mark.browser

INCLUDE = "transformed,theta,outline,grid,input"
STRAIGHT = [name for name in stn.TRANSFORMS if name != "thin_plate_spline"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    for transform in ("affine", "thin_plate_spline"):
        save_tiny_model(home / "models" / transform / "1.safetensors", transform)
    with serve(home) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with cleared(browser, address) as page:
        yield page


# theta and the region


@pytest.mark.parametrize("name", stn.TRANSFORMS)
def test_theta_is_found_again_from_the_region_that_it_gives(page: Page, name: str) -> None:
    transform = stn.TRANSFORMS[name]()
    theta = random_theta(transform, 40)
    outlines, handles = stn.outline(transform, theta), theta
    if name in STRAIGHT:
        handles = outlines.flatten(1)
    for fit, size in (("pad", (31, 17)), ("crop", (16, 40)), ("stretch", (50, 21)), ("pad", (5, 2)), ("pad", (16, 12))):
        photo, info = photo_of(size, fit)
        points = photo.from_input(handles.unflatten(1, (-1, 2)).double().numpy())
        found = run(
            page,
            "theta_from_corners",
            """async ({ thetaFromCorners }, name, size, info, regions) => {
                const { frameOf, toInput } = await import("/static/play/frame.js");
                const frame = frameOf({ width: size[0], height: size[1] }, info);
                return regions.map((region) => thetaFromCorners(name, region.map((point) => toInput(frame, point))));
            }""",
            *(name, size, info, points.tolist()),
        )
        np.testing.assert_allclose(found, theta.numpy(), atol=1e-4)  # float32 through pixels and back


@pytest.mark.parametrize("name", stn.TRANSFORMS)
def test_region_is_drawn_where_the_transform_has_it(page: Page, name: str) -> None:
    transform = stn.TRANSFORMS[name]()
    theta = random_theta(transform, 10)
    photo, info = photo_of((31, 17), "pad")
    drawn = run(
        page,
        "region",
        """async ({ outlineOf, gridOf }, transform, names, thetas, size, info) => {
            const { frameOf } = await import("/static/play/frame.js");
            const frame = frameOf({ width: size[0], height: size[1] }, info);
            return thetas.map((values) => {
                const theta = { transform, names, values };
                return [outlineOf(theta, frame), gridOf({}, theta, frame, [6, 4])];
            });
        }""",
        *(name, list(transform.parameter_names), theta.tolist(), (31, 17), info),
    )
    grids = stn.sampling_grid(transform, theta, (4, 6)).double().numpy()
    for (outline, grid), expected, points in zip(drawn, stn.outline(transform, theta), grids, strict=True):
        np.testing.assert_allclose(outline, photo.from_input(expected.double().numpy()), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(grid, photo.from_input(points), rtol=1e-4, atol=1e-3)  # float32 against float64


@pytest.mark.parametrize("name", stn.TRANSFORMS)
def test_a_dragged_region_is_one_that_the_transform_can_have(page: Page, name: str) -> None:
    transform = stn.TRANSFORMS[name]()
    handles, moved, again = run(
        page,
        "dragging",
        """async ({ dragHandle }, transform, names, values) => {
            const { handlesOf } = await import("/static/play/transforms.js");
            const { thetaFromCorners } = await import("/static/play/theta_from_corners.js");
            const handles = handlesOf({ transform, names, values });
            const moved = dragHandle(transform, handles, 2, [handles[2][0] + 0.11, handles[2][1] + 0.07]);
            const theta = { transform, names, values: thetaFromCorners(transform, moved) };
            return [handles, moved, handlesOf(theta)];
        }""",
        *(name, list(transform.parameter_names), random_theta(transform, 1)[0].tolist()),
    )
    np.testing.assert_allclose(again, moved, atol=1e-9)
    change = np.subtract(moved, handles)
    if name not in ("rigid", "attention"):  # these follow the direction, or the distance
        np.testing.assert_allclose(change[2], [0.11, 0.07], atol=1e-9)
    if name not in ("rigid", "translation"):
        np.testing.assert_allclose(change[0], 0, atol=1e-9)  # the opposite corner stays
    if name == "affine":
        np.testing.assert_allclose(change[[1, 3]], [[0.055, 0.035]] * 2, atol=1e-9)
    if name == "rigid":
        np.testing.assert_allclose(np.mean(change, axis=0), 0, atol=1e-9)


def test_a_torn_quadrilateral_is_no_perspective(page: Page) -> None:
    call = "({ thetaFromCorners }, corners) => thetaFromCorners('projective', corners)"
    assert run(page, "theta_from_corners", call, [[-1, -1], [1, -1], [-0.9, -0.9], [-1, 1]]) is None
    assert run(page, "theta_from_corners", call, [[-1, -1], [1, -1], [0, 0], [0, 0]]) is None
    found = run(page, "theta_from_corners", call, [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    np.testing.assert_allclose(found, [1, 0, 0, 0, 1, 0, 0, 0], atol=1e-12)


# On the page


def test_corners_stand_where_the_api_says(page: Page) -> None:
    answer = draw(page, "affine")
    np.testing.assert_allclose(middles(page), on_screen(page, answer["outline"]), atol=0.6)  # layout rounds
    assert page.locator(".sight-handle.corner").evaluate_all("all => all.map((e) => e.dataset.number)") == list("1234")
    assert page.locator(".sight-number").all_inner_texts() == list("1234")
    assert page.locator(".sight img").get_attribute("src") == answer["transformed"]
    keep_screenshot(page, "sight")


def test_dragging_a_corner_gives_a_theta_that_takes_it_there(page: Page) -> None:
    answer = draw(page, "affine")
    x, y = middles(page)[1]
    aimed = in_picture(page, [[x + 30, y + 50]])[0]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 50, steps=4)
    until_told(page)
    page.mouse.up()
    wait_for(lambda: np.allclose(places(page)[1], aimed, atol=0.1), 20)  # what drags comes with the first drag
    dropped = places(page)
    page.wait_for_timeout(50)  # two frames of the screen: the last one has been told
    theta = page.evaluate("thetas.at(-1)")
    given = ask(page, picture()["buffer"], include=INCLUDE, theta=",".join(map(str, theta)))
    assert given["theta"]["given"]
    np.testing.assert_allclose(list(given["theta"]["parameters"].values()), theta, rtol=1e-6)
    np.testing.assert_allclose(given["outline"][3], answer["outline"][3], atol=1e-3)
    np.testing.assert_allclose(given["outline"], dropped, atol=0.1)  # a tenth of a pixel of the picture
    show(page, given, "affine", given=True)
    np.testing.assert_allclose(middles(page), on_screen(page, given["outline"]), atol=0.6)


def test_what_is_dragged_stays_until_an_answer_has_it(page: Page) -> None:
    answer = draw(page, "affine")
    before = middles(page)
    x, y = before[0]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 20, y)
    page.mouse.up()
    until_told(page)
    dragged = middles(page)
    show(page, answer, "affine", given=True)  # the answer to an earlier theta
    np.testing.assert_allclose(middles(page), dragged, atol=0.01)
    show(page, answer, "affine")  # the network's own again
    np.testing.assert_allclose(middles(page), before, atol=0.01)


def test_the_inside_shifts_all_of_it(page: Page) -> None:
    answer = draw(page, "affine")
    x, y = middles(page).mean(0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 24, y - 12)
    page.mouse.up()
    until_told(page)
    before, after = list(answer["theta"]["parameters"].values()), page.evaluate("thetas.at(-1)")
    np.testing.assert_allclose(np.delete(after, [2, 5]), np.delete(before, [2, 5]), atol=1e-6)
    assert after[2] > before[2] + 0.05 and after[5] < before[5] - 0.02


def test_arrow_keys_move_a_corner_and_shift_moves_it_far(page: Page) -> None:
    draw(page, "affine")
    corner = page.locator(".sight-handle.corner").nth(2)
    corner.focus()
    here = places(page)[2]
    page.keyboard.press("ArrowRight")
    until_told(page)
    near = places(page)[2]
    page.keyboard.press("Shift+ArrowUp")
    until_told(page)
    far = places(page)[2]
    np.testing.assert_allclose(near - here, [0.24, 0], atol=0.05)  # a hundredth of the picture
    np.testing.assert_allclose(far - near, [0, -2.4], atol=0.05)
    expect(corner).to_be_focused()
    assert "Corner 3, lower right, at" in (corner.get_attribute("aria-label") or "")
    assert page.locator(".sight output").inner_text() == corner.get_attribute("aria-label")


def test_one_click_leads_back_to_the_networks_own(page: Page) -> None:
    answer = draw(page, "affine")
    back = page.locator(".sight-reset")
    expect(back).to_be_disabled()
    box = page.locator(".sight-stage").bounding_box()
    show(page, answer, "affine", given=True)
    back.click()
    assert page.evaluate("thetas") == ["reset"]
    assert page.locator(".sight-stage").bounding_box() == box


def test_grid_is_drawn_on_request(page: Page) -> None:
    answer = draw(page, "affine")
    expect(page.locator(".sight-grid")).to_be_hidden()
    show(page, answer, "affine", showGrid=True)
    expect(page.locator(".sight-grid")).to_be_visible()
    stage = page.locator(".sight-stage").bounding_box()
    assert stage is not None
    points = on_screen(page, np.reshape(answer["grid"], (-1, 2))) - [stage["x"], stage["y"]]
    alpha = page.locator(".sight-grid").evaluate(
        """(canvas, points) => points.map(
            ([x, y]) => canvas.getContext("2d").getImageData(Math.round(x - 0.5), Math.round(y - 0.5), 1, 1).data[3])""",
        points.tolist(),
    )
    assert min(alpha) > 100


def test_control_points_of_a_spline_are_dragged_alone(page: Page) -> None:
    draw(page, "thin_plate_spline")
    expect(page.locator(".sight-handle:not(.middle)")).to_have_count(16)
    before = middles(page, ".sight-handle:not(.middle)")
    page.mouse.move(*before[5])
    page.mouse.down()
    page.mouse.move(before[5][0] + 20, before[5][1] + 30)
    page.mouse.up()
    until_told(page)
    after = middles(page, ".sight-handle:not(.middle)")
    np.testing.assert_allclose(after[5] - before[5], [20, 30], atol=1)
    np.testing.assert_allclose(np.delete(after, 5, 0), np.delete(before, 5, 0), atol=0.05)
    assert (page.locator(".sight-lines .curves").get_attribute("d") or "").count("M") == 4
    keep_screenshot(page, "sight-spline")


# theta in words


def test_words_say_what_theta_does(page: Page) -> None:
    cos, sin = math.cos(0.2), math.sin(0.2)
    theta = [0.5 * cos, -0.5 * sin, 0.25, 0.5 * sin, 0.5 * cos, 0.0]
    body = picture()["buffer"]
    answer = ask(page, body, model="affine", include=INCLUDE, theta=",".join(map(str, theta)))
    run(page, "theta", CREATE_THETA, answer, info_of(page, "affine"))
    words = dict(zip(*[page.locator(f".words {part}").all_inner_texts() for part in ("dt", "dd")], strict=True))
    assert words == {
        "Rotation": "11.5° anticlockwise",
        "Scale": "2.00×",
        "Shear": "none",
        "Shift": "region 3.0 px right",  # an eighth of 24 pixels
    }
    values = page.locator("#drawn .numbers data").evaluate_all("all => all.map((e) => Number(e.value))")
    np.testing.assert_allclose(values, theta, rtol=1e-6)
    assert page.locator("#drawn .matrix tr").count() == 2


def test_words_of_a_spline_say_how_far_its_points_move(page: Page) -> None:
    theta = stn.ThinPlateSpline().identity()
    theta[10] += 0.5  # of 24 pixels a quarter
    answer = ask(
        page,
        picture()["buffer"],
        model="thin_plate_spline",
        include=INCLUDE,
        theta=",".join(map(str, theta.tolist())),
    )
    run(page, "theta", CREATE_THETA, answer, info_of(page, "thin_plate_spline"))
    expect(page.locator("#drawn .words")).to_contain_text("moved by 0.4 px on average, 6.0 at most")
    assert page.locator("#drawn .lattice td").count() == 16


CREATE_THETA = """({ createTheta }, prediction, info) =>
    createTheta(document.querySelector("#drawn")).update({ prediction, info })"""


def test_answers_stand_side_by_side(page: Page) -> None:
    body = picture()["buffer"]
    own = ask(page, body, model="affine", include=INCLUDE)
    off = ask(page, body, model="affine", include=INCLUDE, theta="identity")
    run(
        page,
        "comparison",
        """({ createComparison }, own, off, info) => createComparison(document.querySelector("#drawn")).update([
            { title: "The network’s own", prediction: own, info },
            { title: "Transformer off", prediction: off, info },
            { title: "Second model", prediction: null, info },
        ])""",
        *(own, off, info_of(page, "affine")),
    )
    for item, answer in zip(page.locator(".comparison li").all()[:2], (own, off), strict=True):
        best = sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])[:2]
        assert item.locator(".name").all_inner_texts() == [name for name, _ in best]
        assert item.locator(".value").all_inner_texts() == [
            f"{100 * value:.1f}\N{NO-BREAK SPACE}%" for _, value in best
        ]
        assert item.locator("img").get_attribute("src") == answer["transformed"]
    assert own["transformed"] != off["transformed"]
    expect(page.locator(".comparison li").nth(2).locator("img")).to_be_hidden()


# How


def random_theta(transform: stn.Transform, count: int) -> torch.Tensor:
    """Near the identity, so that no region is mirrored and no perspective has its horizon near."""
    generator = torch.Generator().manual_seed(0)
    identity = transform.identity()
    return identity + 0.6 * (torch.rand(count, len(identity), generator=generator) - 0.5)


def photo_of(size: tuple[int, int], fit: Any) -> tuple[Picture, dict[str, Any]]:
    """A picture of this (width, height) as the service fits it into 16 x 16, and what the API says of such a model."""
    file = io.BytesIO()
    Image.new("L", size).save(file, "PNG")
    wanted = InputConfig(channels=1, height=16, width=16, mean=(0.5,), std=(0.5,), fit=fit)
    return read_picture(file.getvalue(), wanted, 10**6), {"width": 16, "height": 16, "fit": fit}


def draw(page: Page, model: str) -> Any:
    """Show an answer of the model, and return it; what is wanted then is in `thetas`."""
    run(
        page,
        "sight",
        """({ createSight }) => {
            window.thetas = [];
            window.heard = 0;
            const told = { onTheta: (theta) => thetas.push(theta), onReset: () => thetas.push("reset") };
            window.sight = createSight(document.querySelector("#drawn"), told);
        }""",
    )
    answer = ask(page, picture()["buffer"], model=model, include=INCLUDE)
    show(page, answer, model)
    return answer


def until_told(page: Page) -> None:
    """Until theta by hand is wanted again."""
    page.evaluate(
        """async () => {
            while (thetas.length === heard) await new Promise(requestAnimationFrame);
            heard = thetas.length;
        }"""
    )


def show(page: Page, answer: Any, model: str, **more: bool) -> None:
    state = {"picture": None, "prediction": answer, "info": info_of(page, model), "showGrid": False, "given": False}
    page.evaluate("(state) => sight.update(state)", {**state, **more})


def middles(page: Page, which: str = ".sight-handle.corner") -> np.ndarray:
    """Of the handles, on the screen."""
    return np.array(
        page.locator(which).evaluate_all(
            """all => all.map((e) => {
                const { x, y, width, height } = e.getBoundingClientRect();
                return [x + width / 2, y + height / 2];
            })"""
        )
    )


def places(page: Page) -> np.ndarray:
    """Of the corners, in pixels of the picture."""
    return in_picture(page, middles(page))


def in_picture(page: Page, points: Any) -> np.ndarray:
    (left, top), (right, _) = on_screen(page, [[0, 0], [24, 0]])
    return (np.asarray(points) - [left, top]) * (24 / (right - left))


def on_screen(page: Page, points: Any) -> np.ndarray:
    """Points in pixels of the picture, which is 24 x 24, where it is shown."""
    box = page.locator(".sight-picture").bounding_box()
    assert box is not None
    return np.asarray(points) * (box["width"] / 24) + [box["x"], box["y"]]
