import math

import pytest
import torch

from stn import ThinPlateSpline, sample, sampling_grid, to_pixels, warp_affine
from training.config import DistortionConfig
from training.distortions import CHUNK, Distortions, distort, distort_fixed, draw, random_theta, take
from training.points import points_of
from training.randomness import generator
from training.recipes import DISTORTIONS

CONFIGS = DISTORTIONS | {
    "nothing": DistortionConfig(),
    "larger": DistortionConfig(size=(30, 37)),
    "all": DistortionConfig(
        rotation=20.0,
        scale=(0.8, 1.1),
        translation=True,
        corners=2.0,
        elastic=1.0,
        clutter=3,
        clutter_size=4,
        size=(41, 30),
    ),
}


def drawn_for(config: DistortionConfig, images: torch.Tensor, seed: int = 0, others: int = 5) -> Distortions:
    return draw(config, (images.shape[2], images.shape[3]), len(images), generator(seed), others)


def moved(images: torch.Tensor, config: DistortionConfig) -> torch.Tensor:
    return distort(images, drawn_for(config, images), config, None)


def pictures(count: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def blob(row: int, column: int, size: int = 29) -> torch.Tensor:
    """One image, black but for a white 3x3 square around this pixel."""
    image = torch.zeros(1, 1, size, size)
    image[..., row - 1 : row + 2, column - 1 : column + 2] = 1
    return image


def centre_of_mass(image: torch.Tensor) -> tuple[float, float]:
    """(x, y) in pixels from the image's centre, y down."""
    height, width = image.shape[-2:]
    mass = image[0, 0] / image.sum()
    x = (mass.sum(0) * (torch.arange(width) - (width - 1) / 2)).sum()
    y = (mass.sum(1) * (torch.arange(height) - (height - 1) / 2)).sum()
    return float(x), float(y)


@pytest.mark.parametrize("config", [DistortionConfig(), DistortionConfig(translation=True, size=(28, 28))])
def test_no_distortion_returns_the_images_themselves(config: DistortionConfig) -> None:
    images = torch.rand(3, 1, 28, 28)
    assert drawn_for(config, images) == Distortions(None, None, None)
    assert moved(images, config) is images
    fixed = pictures(3, 1, 28, 28)
    assert distort_fixed(fixed, config, generator(0), None) is fixed


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_place_of_the_same_run_draws_the_same_distortions(name: str) -> None:
    images, others, config = torch.rand(3, 1, 28, 28), pictures(5, 1, 28, 28), CONFIGS[name]
    first, second, other = (distort(images, drawn_for(config, images, seed), config, others) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert torch.equal(first, other) == (name in ("nothing", "larger"))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_comes_out_the_same_whatever_else_is_in_its_batch(name: str, channels: int) -> None:
    # 200 images are enough for stn.warp to take another way than for a few of them.
    images, others, config = torch.rand(200, channels, 28, 28), pictures(5, channels, 28, 28), CONFIGS[name]
    drawn = drawn_for(config, images)
    together = distort(images, drawn, config, others)
    for rows in (slice(0, 1), slice(50, 150), torch.tensor([199, 3, 3, 78]), torch.arange(1, 200, 2)):
        assert torch.equal(distort(images[rows], take(drawn, rows), config, others), together[rows])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 21, 38), (2, 7, 6)])
def test_shape_dtype_and_range_are_kept_for_every_kind_of_image(name: str, shape: tuple[int, int, int]) -> None:
    images, others, config = torch.rand(4, *shape), pictures(5, *shape), CONFIGS[name]
    for count in (4, 0):
        drawn = drawn_for(config, images[:count])
        result = distort(images[:count], drawn, config, others)
        assert result.shape == (count, shape[0], *(config.size or shape[1:]))
        assert result.dtype == torch.float32
        # Four weights of bilinear sampling add up to 1 but for a unit of 2^-23.
        assert ((result >= 0) & (result <= 1 + 1e-6)).all()
        fixed = distort_fixed(others[:count], config, generator(0), others)
        assert (fixed.shape, fixed.dtype) == (result.shape, torch.uint8)


def test_no_gradient_is_kept() -> None:
    images = torch.rand(2, 1, 28, 28, requires_grad=True)
    assert not moved(images, DISTORTIONS["E"]).requires_grad


def test_rotation_turns_by_up_to_the_largest_angle_about_the_centre() -> None:
    config = DistortionConfig(rotation=45.0)
    images = blob(14, 22).expand(500, -1, -1, -1)  # 8 pixels right of the centre
    centres = [centre_of_mass(image[None]) for image in moved(images, config)]
    angles = torch.tensor([math.degrees(math.atan2(-y, x)) for x, y in centres])
    # The interpolated square's centre of mass moves by well under a tenth of a pixel, 0.7 degrees.
    assert angles.min() == pytest.approx(-45, abs=1)
    assert angles.max() == pytest.approx(45, abs=1)
    assert all(math.hypot(x, y) == pytest.approx(8, abs=0.1) for x, y in centres)


def test_pixels_stay_square_on_images_that_are_not() -> None:
    image = torch.zeros(1, 1, 21, 41)
    image[..., 9:12, 27:30] = 1  # 8 pixels right of the centre
    theta = random_theta(DistortionConfig(rotation=90.0), (21, 41), 200, generator(0))
    for turned in sample(image.expand(200, -1, -1, -1), sampling_grid("affine", theta, (21, 41))):
        assert math.hypot(*centre_of_mass(turned[None])) == pytest.approx(8, abs=0.1)


def test_scale_enlarges_the_picture() -> None:
    images = blob(14, 18).expand(300, -1, -1, -1)  # 4 pixels right of the centre
    factors = [centre_of_mass(image[None])[0] / 4 for image in moved(images, DistortionConfig(scale=(0.7, 1.2)))]
    assert min(factors) == pytest.approx(0.7, abs=0.02)
    assert max(factors) == pytest.approx(1.2, abs=0.02)


def test_translation_reaches_every_place_of_the_larger_image_and_loses_no_pixel() -> None:
    config = DistortionConfig(translation=True, size=(42, 50))
    images = moved(blob(14, 14).expand(500, -1, -1, -1), config)
    assert images.shape == (500, 1, 42, 50)
    torch.testing.assert_close(images.sum((1, 2, 3)), torch.full((500,), 9.0), atol=1e-3, rtol=0)
    centres = torch.tensor([centre_of_mass(image[None]) for image in images])
    # The 29-pixel frame has (50 - 29) / 2 and (42 - 29) / 2 pixels to either side.
    torch.testing.assert_close(centres.abs().amax(0), torch.tensor([10.5, 6.5]), atol=0.1, rtol=0)
    torch.testing.assert_close(centres.mean(0), torch.zeros(2), atol=0.7, rtol=0)  # 3 standard errors


def test_a_picture_in_a_larger_image_keeps_its_pixels() -> None:
    images = torch.rand(1, 1, 28, 28)
    placed = moved(images, DistortionConfig(size=(42, 42)))
    assert torch.equal(placed[..., 7:35, 7:35], images)
    assert placed.sum() == pytest.approx(float(images.sum()), rel=1e-6)


def test_corners_are_moved_by_the_asked_pixels_in_each_direction() -> None:
    size, config = (20, 50), DistortionConfig(corners=1.5)
    drawn = draw(config, size, 4000, generator(0), 0, torch.float64)
    assert drawn.matrix is not None
    undone = torch.linalg.inv(drawn.matrix)  # from the picture to the image: it says where a corner is now
    corners = torch.tensor([[-1.0, -1.0, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], dtype=torch.float64)
    found = undone @ corners.mT
    offsets = to_pixels((found[:, :2] / found[:, 2:]).mT, size) - to_pixels(corners[:, :2], size)
    # Of 4,000 draws, mean and standard deviation are known to 2.4 and 1.7 hundredths of a pixel; 4 times that.
    torch.testing.assert_close(offsets.mean(0), torch.zeros(4, 2, dtype=torch.float64), atol=0.1, rtol=0)
    torch.testing.assert_close(offsets.std(0), torch.full((4, 2), 1.5, dtype=torch.float64), atol=0.07, rtol=0)


def test_the_splines_points_are_moved_by_the_asked_pixels_in_each_direction() -> None:
    size, config = (20, 50), DistortionConfig(elastic=1.5)
    drawn = draw(config, size, 4000, generator(0), 0)
    assert drawn.matrix is None
    assert drawn.spline is not None
    control = ThinPlateSpline().control_points()
    offsets = to_pixels(drawn.spline.unflatten(-1, (16, 2)), size) - to_pixels(control, size)
    torch.testing.assert_close(offsets.mean(0), torch.zeros(16, 2), atol=0.1, rtol=0)  # as above
    torch.testing.assert_close(offsets.std(0), torch.full((16, 2), 1.5), atol=0.07, rtol=0)


def test_a_distorted_picture_is_first_placed_then_seen_in_perspective_then_bent() -> None:
    """Each step with a draw of its own, one after the other, for the points of the output."""
    source, size, config = (28, 24), (41, 30), CONFIGS["all"]
    drawn = draw(config, source, 5, generator(3), 9, torch.float64)
    assert drawn.matrix is not None
    assert drawn.spline is not None
    replay = generator(3)
    placed = random_theta(config, source, 5, replay, torch.float64).unflatten(-1, (2, 3))
    unit = torch.tensor([2 / size[1], 2 / size[0]], dtype=torch.float64)  # one pixel
    corners = 2 * unit * torch.randn(5, 4, 2, generator=replay, dtype=torch.float64)
    points = unit * torch.randn(5, 16, 2, generator=replay, dtype=torch.float64)
    spline = ThinPlateSpline().double()
    identity = spline.identity().double()
    bent = sampling_grid("thin_plate_spline", identity + points.flatten(1), size).flatten(1, 2)
    for index in range(5):
        square = torch.tensor([[-1.0, -1.0], [1, -1], [1, 1], [-1, 1]], dtype=torch.float64)
        rows, right = [], []
        for (x, y), (u, v) in zip((square + corners[index]).tolist(), square.tolist(), strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
            right += [u, v]
        solved = torch.linalg.solve(*(torch.tensor(part, dtype=torch.float64) for part in (rows, right)))
        homography = torch.cat([solved, solved.new_ones(1)]).view(3, 3)
        x, y, w = homography @ torch.cat([bent[index], torch.ones_like(bent[index][:, :1])], dim=1).T
        expected = warp_affine(placed[index : index + 1], torch.stack([x / w, y / w], dim=-1)[None])
        one = take(drawn, slice(index, index + 1))
        found = points_of(one.matrix, one.spline, size).flatten(1, 2)
        # Both ways round at 2^-53, and the control points, a third of which are thirds, at 2^-25.
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_spline_of_a_placed_picture_is_one_spline() -> None:
    config = DistortionConfig(rotation=30.0, translation=True, elastic=2.0, size=(40, 40))
    drawn, replay = draw(config, (28, 28), 6, generator(0), 0), generator(0)
    placed = random_theta(config, (28, 28), 6, replay).unflatten(-1, (2, 3))
    points = ThinPlateSpline().control_points() + torch.randn(6, 16, 2, generator=replay) * (2 * 2 / 40)
    bent = sampling_grid("thin_plate_spline", points.flatten(1), (40, 40)).flatten(1, 2)
    assert drawn.matrix is None
    found = points_of(None, drawn.spline, (40, 40)).flatten(1, 2)
    # float32, in sums of 19 terms of about 1: 1e-6 of half an image.
    torch.testing.assert_close(found, warp_affine(placed, bent), atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", [DistortionConfig(corners=1000.0), DistortionConfig(elastic=1000.0, corners=1000.0)])
def test_the_wildest_distortion_is_finite(config: DistortionConfig) -> None:
    assert moved(torch.rand(500, 1, 4, 5), config).isfinite().all()


def test_fixed_pictures_are_those_that_are_drawn_up_to_rounding() -> None:
    others, config = pictures(40, 3, 28, 28), CONFIGS["all"]
    drawn = draw(config, (28, 28), 40, generator(0), 40, torch.float64)
    expected = distort(others.double() / 255, drawn, config, others) * 255
    fixed = distort_fixed(others, config, generator(0), others)
    # Half a step of rounding, and theta that is rounded by 5e-7, 1e-5 pixels of at most 255 steps each.
    assert (fixed - expected).abs().max() < 0.51


def test_fixed_pictures_do_not_depend_on_how_many_follow() -> None:
    some = pictures(CHUNK + 3, 1, 5, 4)
    config = DistortionConfig(elastic=1.0)
    fewer = distort_fixed(some[: CHUNK + 1], config, generator(0), None)
    assert torch.equal(distort_fixed(some, config, generator(0), None)[:CHUNK], fewer[:CHUNK])
    assert len(fewer) == CHUNK + 1
