"""`grid_sample` against NNlib's published numbers and a literal transcription of its loops; memory; mistakes."""

import itertools
import math
from inspect import unwrap

import pytest
import torch
from torch import Tensor

from stn.flux import (
    PADDING_MODES,
    affine_grid_generator,
    bilinear_sampler,
    from_flux,
    grid_sample,
    to_flux,
    transformer,
)
from tests.stn.flux_reference import flux_random, grid_of, nnlib

# Points inside, on pixels, on the border pixels' centres, half a pixel outside, and far outside.
EDGES = (-1.0, 1.0, 0.0, -1.2, 1.2, -7.0, 7.0, 0.37, -0.81)


def all_pairs() -> Tensor:
    return grid_of(list(itertools.product(EDGES, EDGES)), len(EDGES), len(EDGES))


@pytest.mark.parametrize(
    ("padding", "expected"),
    [("zeros", [0.0, 1.5, 2.0, 3.0, 3.5, 0.0]), ("border", [1.0, 1.5, 2.0, 3.0, 3.5, 4.0])],
)
def test_the_example_of_nnlibs_docstring(padding: str, expected: list[float]) -> None:
    image = to_flux(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)[None, None])
    grid = grid_of([(-3, -1), (0, -1), (1, -1), (-1, 1), (0, 1), (3, 1)], 3, 2)
    sampled = grid_sample(image, grid, padding_mode=padding)
    assert sampled.shape == (3, 2, 1, 1)
    assert from_flux(sampled).flatten().tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("axes", [2, 3])
def test_the_known_gradients_of_nnlibs_tests(axes: int, dtype: torch.dtype) -> None:
    points = [
        tuple(reversed(point)) for point in itertools.product((-1.0, 1.0), repeat=axes)
    ]  # the first axis is fastest
    image = torch.ones([2] * axes + [1, 1], dtype=dtype)
    slope = {"zeros": [tuple(-0.5 if side == 1 else 0.0 for side in point) for point in points]}
    slope["border"] = [(0.0,) * axes] * len(points)
    for padding in PADDING_MODES:
        grid = grid_of(points, *[2] * axes).to(dtype).requires_grad_()
        leaf = image.clone().requires_grad_()
        sampled = grid_sample(leaf, grid, padding_mode=padding)
        assert torch.equal(sampled, image)
        assert sampled.dtype == dtype
        sampled.sum().backward()
        assert torch.equal(leaf.grad, image)
        assert torch.equal(grid.grad, grid_of(slope[padding], *[2] * axes).to(dtype))


def test_out_of_bounds_points_of_nnlibs_tests() -> None:
    image = torch.ones(2, 2, 1, 1, dtype=torch.float64)
    grid = grid_of([(-3, -1), (0, -1), (3, -1), (-1, 3), (0, 1), (1, 3)], 3, 2)
    assert from_flux(grid_sample(image, grid)).flatten().tolist() == [0, 1, 0, 0, 1, 0]
    assert from_flux(grid_sample(image, grid, padding_mode="border")).flatten().tolist() == [1] * 6


def test_out_of_bounds_points_of_nnlibs_tests_in_volumes() -> None:
    image = torch.ones(2, 2, 2, 1, 1, dtype=torch.float64)
    points = [(-3, -1, -1), (0, -1, -1), (-1, 3, -1), (0, 1, -1), (-1, -1, 3), (0, -1, 3), (-1, 1, 3), (0, 1, 3)]
    grid = grid_of(points, 2, 2, 2)
    assert from_flux(grid_sample(image, grid)).flatten().tolist() == [0, 1, 0, 1, 0, 0, 0, 0]
    assert from_flux(grid_sample(image, grid, padding_mode="border")).flatten().tolist() == [1] * 8


def check_against_nnlib(image: torch.Tensor, grid: torch.Tensor, padding: str) -> None:
    image, grid = image.requires_grad_(), grid.requires_grad_()
    sampled = grid_sample(image, grid, padding_mode=padding)
    cotangent = flux_random(*sampled.shape, seed=1)
    sampled.backward(cotangent)
    expected = nnlib(image.detach(), grid.detach(), padding, cotangent)
    # The loops round in another order: a few units of 2^-52.
    for ours, theirs in zip((sampled, image.grad, grid.grad), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_images_and_gradients_are_those_of_nnlibs_loops_at_the_border_and_beyond(padding: str) -> None:
    check_against_nnlib(flux_random(5, 4, 2, 1), all_pairs(), padding)


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_volumes_and_gradients_are_those_of_nnlibs_loops(padding: str) -> None:
    points = list(itertools.product((-1.0, 1.0, -1.3, 0.21), (-1.0, 1.0, 5.0, -0.4), (-1.0, 1.0, 1.1, 0.7)))
    check_against_nnlib(flux_random(4, 3, 2, 2, 1), grid_of(points, 4, 4, 4), padding)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_types_are_computed_in_float64_and_rounded_once(dtype: torch.dtype) -> None:
    image, grid = flux_random(9, 7, 2, 3).to(dtype), (flux_random(2, 6, 5, 3, seed=1) * 2.4 - 1.2).to(dtype)
    sampled = grid_sample(image, grid)
    assert sampled.dtype == dtype
    exact = nnlib(image.double(), grid.double(), "zeros")[0]
    unit = exact.abs() * torch.finfo(dtype).eps / 2
    assert ((sampled.double() - exact).abs() <= unit + 1e-14).all()


def test_the_last_float32_before_the_border_still_has_a_gradient() -> None:
    # (1 - 2^-24) + 1 is 2 in float32: a sampler that computes in float32 is already at the border there.
    image = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    inside = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    for x, slope in ((inside, 0.5), (torch.tensor(1.0), 0.0)):
        grid = torch.stack([x, torch.tensor(0.0)]).view(2, 1, 1, 1).requires_grad_()
        grid_sample(image, grid, padding_mode="border").backward()
        assert grid.grad[0].item() == slope


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_gradients_agree_with_finite_differences_between_pixels(padding: str) -> None:
    image = flux_random(4, 5, 2, 2).requires_grad_()
    # Pixels of 5 columns are 0.5 apart: stay away from them by at least a tenth of that.
    grid = (torch.tensor([-0.8, -0.3, 0.2, 0.66], dtype=torch.float64).view(1, 2, 2, 1).expand(2, 2, 2, 2)).clone()
    assert torch.autograd.gradcheck(
        lambda image, grid: grid_sample(image, grid, padding_mode=padding), (image, grid.requires_grad_())
    )


def test_volumes_have_right_gradients_between_pixels() -> None:
    image = flux_random(3, 4, 2, 1, 1).requires_grad_()
    grid = torch.tensor([-0.8, 0.17, 0.6], dtype=torch.float64).view(3, 1, 1, 1, 1).expand(3, 2, 1, 1, 1).clone()
    assert torch.autograd.gradcheck(grid_sample, (image, grid.requires_grad_()))


def test_the_image_gets_no_gradient_where_it_asks_for_none() -> None:
    grid = flux_random(2, 3, 3, 1).requires_grad_()
    image = flux_random(4, 4, 1, 1)
    grid_sample(image, grid).sum().backward()
    assert image.grad is None
    assert grid.grad is not None


def test_a_layout_is_a_view_and_never_a_copy() -> None:
    tensor = torch.rand(2, 3, 4, 5)
    array = to_flux(tensor)
    assert array.shape == (5, 4, 3, 2)
    assert array.stride() == (1, 5, 20, 60)  # Julia's strides
    assert array.data_ptr() == tensor.data_ptr()
    back = from_flux(array)
    assert back.data_ptr() == tensor.data_ptr()
    assert torch.equal(back, tensor)
    assert back.is_contiguous()


def test_float64_arrays_in_julias_memory_order_reach_the_sampler_uncopied(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = torch.nn.functional.grid_sample
    monkeypatch.setattr(
        "stn.flux.F.grid_sample", lambda *arguments, **named: seen.append(arguments) or plain(*arguments, **named)
    )
    image, grid = flux_random(5, 4, 3, 2), flux_random(2, 6, 7, 2)
    sampled = grid_sample(image, grid)
    assert seen[0][0].data_ptr() == image.data_ptr()
    assert seen[0][1].data_ptr() == grid.data_ptr()
    assert from_flux(sampled).is_contiguous()


def test_every_function_gives_julias_memory_order() -> None:
    images = flux_random(6, 5, 2, 3)
    parameters = flux_random(4, 3)
    x, y = affine_grid_generator(4, 7, flux_random(2, 3, 3))
    for array in (x, y, bilinear_sampler(images, x, y), transformer(images, parameters)):
        assert from_flux(array).is_contiguous()


@pytest.mark.parametrize(
    ("input_shape", "grid_shape", "message"),
    [
        ((4, 4, 1), (2, 3, 3, 1), r"input and grid must both have 4 axes, or both 5, got input \(4, 4, 1\)"),
        ((4, 4, 1, 1), (3, 3, 3, 3, 1), "input and grid must both have 4 axes"),
        ((4, 4, 1, 1), (3, 3, 3, 1), "grid must have 2 coordinates in its first axis"),
        ((4, 4, 4, 1, 1), (2, 3, 3, 3, 1), "grid must have 3 coordinates in its first axis"),
        ((4, 4, 1, 2), (2, 3, 3, 1), "grid and input must have the same batch size in their last axis"),
        ((4, 0, 1, 1), (2, 3, 3, 1), "input must have at least one pixel"),
        ((4, 4, 1, 1), (2, 0, 2, 1), "grid must have at least one point"),
    ],
)
def test_wrong_shapes_are_named(input_shape: tuple[int, ...], grid_shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_sample(torch.zeros(input_shape), torch.zeros(grid_shape))


def test_whole_numbers_as_images_and_broken_ones_as_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"input must be floating point, got torch.uint8"):
        unwrap(grid_sample)(torch.zeros(2, 2, 1, 1, dtype=torch.uint8), torch.zeros(2, 1, 1, 1))
    with pytest.raises(ValueError, match=r"height must be a whole number of at least 1, got 2.5"):
        unwrap(affine_grid_generator)(2.5, 2, torch.zeros(2, 3, 1))
    with pytest.raises(ValueError, match=r"width must be a whole number of at least 1, got inf"):
        unwrap(affine_grid_generator)(2, math.inf, torch.zeros(2, 3, 1))
    with pytest.raises(ValueError, match=r"theta must be floating point, got torch.int64"):
        unwrap(affine_grid_generator)(2, 2, torch.zeros(2, 3, 1, dtype=torch.int64))


def test_a_whole_number_of_rows_may_be_a_float() -> None:
    x, _ = unwrap(affine_grid_generator)(2.0, 3.0, torch.ones(2, 3, 1))
    assert x.shape == (3, 2, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_thetas_place_their_points_in_float32(dtype: torch.dtype) -> None:
    theta = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])[..., None]
    found, expected = affine_grid_generator(224, 224, theta.to(dtype)), affine_grid_generator(224, 224, theta)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_parameters_of_another_shape_are_named() -> None:
    with pytest.raises(ValueError, match=r"loc_net_output must be of shape \(4, B\), got \(4,\)"):
        unwrap(transformer)(torch.zeros(2, 2, 1, 1), torch.zeros(4))


def test_an_unknown_padding_is_named() -> None:
    with pytest.raises(ValueError, match="padding_mode must be one of zeros, border, got 'reflection'"):
        grid_sample(torch.zeros(2, 2, 1, 1), torch.zeros(2, 1, 1, 1), padding_mode="reflection")


def test_nan_and_infinity_are_errors_and_never_a_black_image() -> None:
    image = torch.ones(2, 2, 1, 1)
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="loc_net_output must be finite"):
            transformer(image, torch.full((4, 1), value))
        with pytest.raises(ValueError, match="theta must be finite"):
            affine_grid_generator(2, 2, torch.full((2, 3, 1), value))
        with pytest.raises(ValueError, match="grid must be finite"):
            grid_sample(image, torch.full((2, 1, 1, 1), value))
