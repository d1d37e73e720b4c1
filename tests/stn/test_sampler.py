from inspect import unwrap

import pytest
import torch
import torch.nn.functional as F

from stn import KERNELS, TRANSFORMS, GridGenerator, sample, sampling_grid, warp
from tests.reference import sample_bilinear


def random_images(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def random_grid(*shape: int, reach: float = 1.3, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    values = torch.rand(*shape, 2, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return (values * 2 - 1) * reach


def identity_grid(count: int, size: tuple[int, int]) -> torch.Tensor:
    return sampling_grid("affine", torch.tensor([[1.0, 0, 0, 0, 1, 0]]).expand(count, -1), size)


@pytest.mark.parametrize("side", [*range(1, 130), 224, 255, 256, 257, 511, 513, 1000, 1025])
def test_the_identity_grid_returns_the_image_to_the_bit(side: int) -> None:
    for size in ((side, 3), (3, side)):
        images = random_images(1, 2, *size)
        assert torch.equal(sample(images, identity_grid(1, size)), images)


def test_pixel_aligned_points_return_the_pixels_to_the_bit() -> None:
    images = random_images(1, 1, 28, 28)
    # A half turn and a shift by 3 pixels put every output pixel on an input pixel.
    theta = torch.tensor([[-1.0, 0.0, 6 / 28, 0.0, -1.0, 0.0]])
    turned = sample(images, sampling_grid("affine", theta, (28, 28)))
    assert torch.equal(turned[..., 6:], images.flip(-1, -2)[..., 3:-3]) or torch.equal(
        turned[..., 3:], images.flip(-1, -2)[..., :-3]
    )


def test_values_are_those_of_the_papers_sum() -> None:
    images, grid = random_images(2, 3, 5, 7, dtype=torch.float64), random_grid(2, 4, 6)
    # float64 positions are rounded to 2^-51 of the image, hence 1e-12.
    torch.testing.assert_close(sample(images, grid), sample_bilinear(images, grid), atol=1e-12, rtol=0)


def test_values_are_those_of_torchs_grid_sample() -> None:
    images, grid = random_images(2, 3, 24, 31), random_grid(2, 16, 17, dtype=torch.float32)
    expected = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    # Neighbouring pixels differ by up to 1 and positions by up to 32 * 2^-22 pixels, in two directions.
    torch.testing.assert_close(sample(images, grid), expected, atol=2e-5, rtol=0)


def test_a_linear_ramp_is_sampled_exactly_inside() -> None:
    x, y = torch.meshgrid(torch.arange(9.0), torch.arange(7.0), indexing="xy")
    ramp = (2 * x + 3 * y)[None, None].double()
    grid = random_grid(1, 8, 8, reach=0.7)
    columns, rows = (grid[..., 0] * 9 + 8) / 2, (grid[..., 1] * 7 + 6) / 2
    torch.testing.assert_close(sample(ramp, grid)[0, 0], (2 * columns + 3 * rows)[0])


def test_outside_the_image_all_is_zero() -> None:
    images = torch.ones(1, 1, 4, 4)
    grid = torch.tensor([[[[-3.0, 0.0], [3.0, 0.0], [0.0, -30.0], [0.0, 1e6]]]])
    assert torch.equal(sample(images, grid), torch.zeros(1, 1, 1, 4))


def test_gradients_are_right() -> None:
    images, grid = random_images(2, 2, 5, 6, dtype=torch.float64), random_grid(2, 3, 3)
    # Bilinear sampling has kinks on pixel centres; keep a tenth of a pixel away from them.
    size = torch.tensor([6.0, 5.0], dtype=torch.float64)
    pixels = (grid * size + size - 1) / 2
    pixels = pixels.floor() + (pixels - pixels.floor()).clamp(0.1, 0.9)
    grid = (2 * pixels + 1 - size) / size
    assert torch.autograd.gradcheck(sample, (images.requires_grad_(), grid.requires_grad_()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_sampled_at_full_precision_positions(dtype: torch.dtype) -> None:
    images = random_images(1, 1, 64, 64).to(dtype)
    sampled = sample(images, identity_grid(1, (64, 64)))
    assert sampled.dtype == dtype
    assert torch.equal(sampled, images)


def test_different_batch_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="images and grid must have the same batch size, got 2 and 3"):
        unwrap(sample)(torch.zeros(2, 1, 4, 4), torch.zeros(3, 4, 4, 2))  # without the tests' shape checks


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"images must have shape \(B, C, H, W\) with at least one pixel, got shape \(1, 1, 0, 4\)"
    ):
        sample(torch.zeros(1, 1, 0, 4), torch.zeros(1, 4, 4, 2))


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_warping_is_sampling_at_the_grid(transform: str, kernel: str, padding: str) -> None:
    images = random_images(2, 3, 13, 17, dtype=torch.float64)
    generator = GridGenerator(transform, (9, 11))
    noise = torch.randn(2, len(generator.transform.parameter_names), generator=torch.Generator().manual_seed(2))
    theta = (generator.transform.identity() + 0.1 * noise).double()
    # Both round positions to 2^-50 of the image, not always to the same side.
    expected = sample(images, generator(theta), kernel, padding)
    torch.testing.assert_close(warp(images, theta, generator, kernel, padding), expected, atol=1e-11, rtol=0)


def test_warping_takes_the_other_settings_of_sampling() -> None:
    images, theta = random_images(2, 3, 30, 40), torch.tensor([[2.5, 0.2, 0.1]]).expand(2, -1)
    generator = GridGenerator("attention", (9, 11))
    for antialias in (1, 3):
        expected = sample(images, generator(theta), "bilinear", "constant", (0.1, 0.5, 0.9), antialias)
        found = warp(images, theta, generator, "bilinear", "constant", (0.1, 0.5, 0.9), antialias)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_what_does_not_fit_is_refused_by_warp_too() -> None:
    generator = GridGenerator("attention", (4, 4))
    theta = generator.transform.identity()[None]
    with pytest.raises(ValueError, match="images and theta must have the same batch size, got 2 and 1"):
        unwrap(warp)(torch.zeros(2, 1, 4, 4), theta, generator)
    with pytest.raises(ValueError, match="theta must be finite, got nan for image 0"):
        warp(torch.zeros(1, 1, 4, 4), theta * torch.nan, generator)
    with pytest.raises(ValueError, match=r"images must have shape \(B, C, H, W\)"):
        unwrap(warp)(torch.zeros(1, 4, 4), theta, generator)
    with pytest.raises(ValueError, match=r"theta must have shape \(B, 3\) for Attention, got \(\)"):
        unwrap(warp)(torch.zeros(1, 1, 4, 4), torch.tensor(1.0), generator)
    with pytest.raises(ValueError, match=r"generator must be a GridGenerator, .*, got 'affine'"):
        unwrap(warp)(torch.zeros(1, 1, 4, 4), theta, "affine")
    with pytest.raises(ValueError, match="images must be floating point, got torch.uint8"):
        unwrap(warp)(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), theta, generator)
