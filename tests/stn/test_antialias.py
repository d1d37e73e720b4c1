import pytest
import torch

from stn import sample, sampling_grid


def zoom(scale: float, count: int = 1) -> torch.Tensor:
    return torch.tensor([[scale, 0.0, 0.0]]).expand(count, -1)


@pytest.mark.parametrize("antialias", [2, 4])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_where_the_grid_does_not_zoom_out_nothing_changes_to_the_bit(scale: float, antialias: int) -> None:
    images = torch.rand(1, 2, 27, 31)
    grid = sampling_grid("attention", zoom(scale), (27, 31))
    assert torch.equal(sample(images, grid, antialias=antialias), sample(images, grid))


def test_stripes_too_fine_for_the_output_become_grey() -> None:
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 1
    small = sampling_grid("affine", torch.tensor([[1.0, 0, 0, 0, 1, 0]]), (16, 16))
    # Every output pixel covers four columns, of which it reads two without antialiasing, wherever those happen to be.
    shifted = sampling_grid("affine", torch.tensor([[1.0, 0, 1 / 64, 0, 1, 0]]), (16, 16))
    inner = (..., slice(1, -1), slice(1, -1))
    assert (sample(stripes, shifted)[inner] - 0.5).abs().max() > 0.49
    for grid in (small, shifted):
        # Four samples, 3/4 of a pixel apart: the weights of bright and dark columns differ by an eighth at most.
        assert (sample(stripes, grid, antialias=4)[inner] - 0.5).abs().max() <= 0.13


def test_shrinking_eightfold_comes_near_the_mean_of_what_a_pixel_covers() -> None:
    images = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    grid = sampling_grid("affine", torch.tensor([[1.0, 0, 0, 0, 1, 0]]), (16, 16))
    means = torch.nn.functional.avg_pool2d(images, 8)

    def error(antialias: int) -> float:
        return (sample(images, grid, antialias=antialias) - means).square().mean().sqrt().item()

    # Noise of deviation 0.29; the mean of 64 pixels against that of 4, and against 8 x 8 interpolated samples.
    assert error(8) < 0.2 * error(1)


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (8, 1), (2, 2)])
def test_outputs_of_one_row_or_column_are_sampled(size: tuple[int, int]) -> None:
    grid = sampling_grid("attention", zoom(1.5), size)
    assert sample(torch.rand(1, 1, 32, 32), grid, antialias=2).isfinite().all()


def test_derivatives_are_right() -> None:
    images = torch.rand(1, 1, 7, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theta = torch.tensor([[1.83, 0.21, 0.03, -0.17, 1.71, 0.05]], dtype=torch.float64)

    def shrunk(theta: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        return sample(images, sampling_grid("affine", theta, (3, 4)), antialias=2)

    assert torch.autograd.gradcheck(shrunk, (theta.requires_grad_(), images.requires_grad_()))
    assert torch.autograd.gradgradcheck(shrunk, (theta, images))
