"""The original script's functions: right where the script was not."""

import inspect
import itertools
import math
import re
from pathlib import Path

import pytest
import torch

import stn
from stn.flux import affine_grid_generator, bilinear_sampler, from_flux, grid_sample, to_flux, transformer
from stn.transforms import TRANSFORMS
from tests.stn.flux_reference import flux_random


def test_the_grid_is_theta_times_each_pixels_centre() -> None:
    theta = flux_random(2, 3, 4)
    x, y = affine_grid_generator(3, 5, theta)
    assert x.shape == y.shape == (5, 3, 4)
    for w, h, b in itertools.product(range(5), range(3), range(4)):
        out = torch.tensor([-1 + 2 * w / 4, -1 + 2 * h / 2, 1.0], dtype=torch.float64)
        torch.testing.assert_close(torch.stack([x[w, h, b], y[w, h, b]]), theta[:, :, b] @ out)


def test_a_grid_of_one_row_lies_in_the_middle() -> None:
    identity = torch.eye(2, 3)[:, :, None]
    x, y = affine_grid_generator(1, 3, identity)
    assert x.flatten().tolist() == [-1, 0, 1]
    assert y.flatten().tolist() == [0, 0, 0]


def test_the_sampler_returns_the_weighted_sum_of_four_pixels_and_not_one_of_them() -> None:
    image = to_flux(torch.tensor([[[[1.0, 2.0], [4.0, 8.0]]]]))
    x, y = torch.tensor(-0.5).view(1, 1, 1), torch.tensor(0.5).view(1, 1, 1)  # a quarter to the right, three down
    expected = 1 * 0.75 * 0.25 + 2 * 0.25 * 0.25 + 4 * 0.75 * 0.75 + 8 * 0.25 * 0.75
    assert bilinear_sampler(image, x, y).item() == expected


def test_the_sampler_reads_x_and_y_everywhere_and_not_on_their_diagonals() -> None:
    # Exchanging width and height: no choice of one x for each column and one y for each row can do that.
    image = flux_random(4, 4, 1, 1)
    y, x = affine_grid_generator(4, 4, torch.eye(2, 3, dtype=torch.float64)[:, :, None])
    torch.testing.assert_close(bilinear_sampler(image, x, y), image.transpose(0, 1))


@pytest.mark.parametrize("batch", [1, 3, 128])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_identity_keeps_images_of_any_size_channels_and_batch(batch: int, channels: int) -> None:
    images = flux_random(13, 7, channels, batch, dtype=torch.float32)
    identity = torch.tensor([1.0, 0.0, 0.0, 0.0])[:, None].expand(4, batch)
    # Positions are right to 2^-52 of the width, far below float32's rounding of the values.
    torch.testing.assert_close(transformer(images, identity), images, rtol=0, atol=1e-7)


def test_each_parameter_does_what_its_name_says() -> None:
    """On 5x5 images one pixel is half a unit: shifts by whole pixels, quarter turns and a half zoom are exact."""
    image = flux_random(5, 5, 2, 1)
    parameters = torch.tensor(
        [[1.0, 0.5, 0.0, 0.0], [1.0, 0.0, 0.5, 0.0], [1.0, 0.0, 0.0, math.pi / 2], [0.5, 0.0, 0.0, 0.0]]
    )
    right, down, turned, zoomed = transformer(image.expand(5, 5, 2, 4), to_flux(parameters)).unbind(-1)
    one = image[..., 0]
    torch.testing.assert_close(right[:4], one[1:])
    assert (right[4] == 0).all()
    torch.testing.assert_close(down[:, :4], one[:, 1:])
    torch.testing.assert_close(turned, torch.rot90(one, -1, (0, 1)))  # anticlockwise, with x before y
    torch.testing.assert_close(zoomed[::2, ::2], one[1:4, 1:4])


def test_all_four_parameters_have_right_gradients() -> None:
    images = flux_random(5, 4, 2, 2)
    # Generic values: no sampled point lies on a pixel.
    parameters = torch.tensor(
        [[0.83, 1.21], [0.11, -0.07], [0.05, 0.13], [0.31, -0.47]], dtype=torch.float64
    ).requires_grad_()
    assert torch.autograd.gradcheck(lambda parameters: transformer(images, parameters), parameters)
    transformer(images, parameters).square().sum().backward()
    assert (parameters.grad.abs() > 1e-3).all()


def test_the_port_and_the_library_give_the_same_picture() -> None:
    """The library's grid, brought to corner-aligned coordinates: g W / (W - 1)."""
    images = torch.rand(2, 3, 9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theta = torch.tensor([[0.9, 0.4, 0.1, -0.2], [1.3, -1.0, 0.3, 0.0]], dtype=torch.float64)
    grid = stn.sampling_grid(TRANSFORMS["similarity"](), theta, (8, 10))
    sides = torch.tensor([12.0, 9.0], dtype=torch.float64)
    sampled = grid_sample(to_flux(images), to_flux(grid * sides / (sides - 1)))
    torch.testing.assert_close(from_flux(sampled), stn.sample(images, grid), rtol=1e-12, atol=1e-12)


def test_other_mistakes_are_named() -> None:
    theta = torch.eye(2, 3)[:, :, None]
    with pytest.raises(ValueError, match="height must be a whole number of at least 1, got 0"):
        affine_grid_generator(0, 3, theta)
    with pytest.raises(ValueError, match="width must be a whole number of at least 1, got -1"):
        affine_grid_generator(3, -1, theta)
    with pytest.raises(ValueError, match=r"theta must be of shape \(2, 3, B\), got \(3, 2, 1\)"):
        inspect.unwrap(affine_grid_generator)(3, 3, theta.transpose(0, 1))
    with pytest.raises(ValueError, match=r"loc_net_output must be of shape \(4, B\), got \(6, 1\)"):
        inspect.unwrap(transformer)(torch.zeros(2, 2, 1, 1), torch.zeros(6, 1))
    with pytest.raises(ValueError, match=r"y must be of the shape of x, \(1, 1, 1\), got \(1, 2, 1\)"):
        inspect.unwrap(bilinear_sampler)(torch.zeros(2, 2, 1, 1), torch.zeros(1, 1, 1), torch.zeros(1, 2, 1))


def test_the_page_shows_what_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "flux.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["turned"].shape == (30, 20, 3, 8)
    assert torch.equal(names["sampled"], names["same"])
    assert names["tensor"].is_contiguous()
