import math

import pytest
import torch

from training.config import DistortionConfig
from training.distortions import distort, random_theta
from training.randomness import generator


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


def test_no_distortion_returns_the_images_to_the_bit() -> None:
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(distort(images, DistortionConfig(), generator(0)), images)


def test_the_same_place_of_the_same_run_draws_the_same_distortions() -> None:
    images, config = torch.rand(3, 1, 28, 28), DistortionConfig(rotation=45.0, scale=(0.7, 1.2), translation=True)
    assert torch.equal(distort(images, config, generator(1, "x")), distort(images, config, generator(1, "x")))
    assert not torch.equal(distort(images, config, generator(1, "x")), distort(images, config, generator(1, "y")))


def test_rotation_turns_by_up_to_the_largest_angle_about_the_centre() -> None:
    config = DistortionConfig(rotation=45.0)
    images = blob(14, 22).expand(500, -1, -1, -1)  # 8 pixels right of the centre
    centres = [centre_of_mass(image[None]) for image in distort(images, config, generator(0))]
    angles = torch.tensor([math.degrees(math.atan2(-y, x)) for x, y in centres])
    # The interpolated square's centre of mass moves by well under a tenth of a pixel, 0.7 degrees.
    assert angles.min() == pytest.approx(-45, abs=1)
    assert angles.max() == pytest.approx(45, abs=1)
    assert all(math.hypot(x, y) == pytest.approx(8, abs=0.1) for x, y in centres)


def test_pixels_stay_square_on_images_that_are_not() -> None:
    image = torch.zeros(1, 1, 21, 41)
    image[..., 9:12, 27:30] = 1  # 8 pixels right of the centre
    theta = random_theta(DistortionConfig(rotation=90.0), (21, 41), 200, generator(0))
    from stn import sample, sampling_grid

    for turned in sample(image.expand(200, -1, -1, -1), sampling_grid("affine", theta, (21, 41))):
        assert math.hypot(*centre_of_mass(turned[None])) == pytest.approx(8, abs=0.1)


def test_scale_enlarges_the_picture() -> None:
    images = blob(14, 18).expand(300, -1, -1, -1)  # 4 pixels right of the centre
    factors = [
        centre_of_mass(image[None])[0] / 4
        for image in distort(images, DistortionConfig(scale=(0.7, 1.2)), generator(0))
    ]
    assert min(factors) == pytest.approx(0.7, abs=0.02)
    assert max(factors) == pytest.approx(1.2, abs=0.02)


def test_translation_reaches_every_place_of_the_larger_image_and_loses_no_pixel() -> None:
    config = DistortionConfig(translation=True, size=(42, 50))
    images = blob(14, 14).expand(500, -1, -1, -1)
    moved = distort(images, config, generator(0))
    assert moved.shape == (500, 1, 42, 50)
    torch.testing.assert_close(moved.sum((1, 2, 3)), torch.full((500,), 9.0), atol=1e-3, rtol=0)
    centres = torch.tensor([centre_of_mass(image[None]) for image in moved])
    # The 29-pixel frame has (50 - 29) / 2 and (42 - 29) / 2 pixels to either side.
    torch.testing.assert_close(centres.abs().amax(0), torch.tensor([10.5, 6.5]), atol=0.1, rtol=0)
    torch.testing.assert_close(centres.mean(0), torch.zeros(2), atol=0.7, rtol=0)  # 3 standard errors


def test_a_picture_in_a_larger_image_keeps_its_pixels() -> None:
    images = torch.rand(1, 1, 28, 28)
    placed = distort(images, DistortionConfig(size=(42, 42)), generator(0))
    assert torch.equal(placed[..., 7:35, 7:35], images)
    assert placed.sum() == pytest.approx(float(images.sum()), rel=1e-6)
