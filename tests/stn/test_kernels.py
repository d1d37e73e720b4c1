"""Every kernel with every padding: values, derivatives, exactness."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stn import (
    KERNELS,
    TRANSFORMS,
    GridGenerator,
    Kernel,
    cubic_convolution,
    interpolation,
    lanczos,
    sample,
    sampling_grid,
    warp,
)
from tests import reference

PADDINGS = ("zeros", "border", "reflection", "constant")
BACKGROUND = (0.2, 0.7)
WEIGHTS: dict[str, tuple[Callable[[float], float], float]] = {
    "integer": (reference.integer, 1.0),
    "bilinear": (lambda d: max(0.0, 1 - abs(d)), 1.0),
    "bicubic": (reference.cubic(-0.75), 2.0),
    "catmull_rom": (reference.cubic(-0.5), 2.0),
    "lanczos3": (reference.lanczos3, 3.0),
}
USERS = {
    "triangle": Kernel(lambda d: (1 - (d / 1.5).abs()).clamp(min=0), support=1.5),
    "gauss": Kernel(lambda d: torch.exp(-d.square()) * (d.abs() < 2.7), support=2.7, normalised=True),
    "lanczos2": lanczos(2),
    "sharp": cubic_convolution(-1.0),
}


def images_and_grid(size: tuple[int, int] = (5, 6), reach: float = 2.5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(2, 2, *size, generator=generator, dtype=torch.float64)
    return images, (torch.rand(2, 4, 5, 2, generator=generator, dtype=torch.float64) * 2 - 1) * reach


def background(padding: str) -> tuple[float, float] | None:
    return BACKGROUND if padding == "constant" else None


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("size", [(5, 6), (1, 1), (2, 9)])
def test_values_are_those_of_the_papers_sum(name: str, padding: str, size: tuple[int, int]) -> None:
    images, grid = images_and_grid(size)
    weight, support = WEIGHTS[name]
    expected = reference.sample_by_the_sum(images, grid, weight, support, padding, background(padding) or (0.0,))
    if KERNELS[name].normalised:
        ones = reference.sample_by_the_sum(torch.ones_like(images), grid, weight, support, "border")
        expected = expected / ones
    found = sample(images, grid, name, padding, background(padding))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)  # positions are rounded to 2^-50 of the image


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("name", ["triangle", "sharp"])
def test_a_users_kernel_follows_the_papers_sum(name: str, padding: str) -> None:
    images, grid = images_and_grid()
    kernel = USERS[name]
    expected = reference.sample_by_the_sum(
        images,
        grid,
        lambda d: kernel.weight(torch.tensor(d)).item(),
        kernel.support,
        padding,
        background(padding) or (0.0,),
    )
    # The reference's weights are float32.
    torch.testing.assert_close(sample(images, grid, kernel, padding, background(padding)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("name", KERNELS)
def test_the_vectorised_and_the_general_way_agree(name: str, padding: str) -> None:
    images, grid = images_and_grid()
    general = sample(images, grid, KERNELS[name], padding, background(padding))
    torch.testing.assert_close(sample(images, grid, name, padding, background(padding)), general, atol=1e-12, rtol=0)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("name", KERNELS)
def test_a_small_window_of_a_large_image_is_sampled_alike(name: str, padding: str) -> None:
    images = torch.rand(1, 2, 70, 90, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid = images_and_grid()[1][:1]
    general = sample(images, grid, KERNELS[name], padding)
    # Without a copy of the image, positions are rounded as torch rounds them.
    torch.testing.assert_close(sample(images, grid, name, padding), general, atol=1e-11, rtol=0)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", [*KERNELS, USERS["gauss"], USERS["lanczos2"], USERS["sharp"]])
def test_a_constant_image_stays_constant_inside(kernel: str | Kernel, padding: str) -> None:
    images, grid = torch.full((1, 2, 12, 12), 0.3), torch.rand(1, 6, 6, 2) * 0.8 - 0.4
    torch.testing.assert_close(
        sample(images, grid, kernel, padding, background(padding)), torch.full((1, 2, 6, 6), 0.3), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("size", [(1, 1), (3, 28), (27, 31), (64, 65), (130, 5)])
def test_the_identity_returns_the_image_to_the_bit(name: str, padding: str, size: tuple[int, int]) -> None:
    images = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    grid = sampling_grid("affine", torch.tensor([[1.0, 0, 0, 0, 1, 0]]), size)
    assert torch.equal(sample(images, grid, name, padding, background(padding)), images)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 7, 28])
def test_halfway_between_two_pixels_the_integer_kernel_takes_the_right_and_the_lower_one(side: int) -> None:
    image = torch.arange(float(side * side)).view(1, 1, side, side)
    halves = (2 * torch.arange(side - 1) + 2 - side) / side  # between pixel i and i + 1
    x = torch.stack([halves, torch.full_like(halves, 1 / side - 1)], dim=-1).view(1, 1, -1, 2)
    if side > 1:
        assert torch.equal(sample(image, x, "integer").flatten(), image[0, 0, 0, 1:])
        assert torch.equal(sample(image, x.flip(-1), "integer").flatten(), image[0, 0, 1:, 0])


def away_from_kinks(grid: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The grid moved so that no point is within a tenth of a pixel of a pixel's centre or edge."""
    sides = torch.tensor([size[1], size[0]], dtype=grid.dtype)
    halves = grid * sides + sides - 1  # twice the pixel's index
    whole = halves.floor()
    return (whole + (halves - whole).clamp(0.2, 0.8) + 1 - sides) / sides


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", [*KERNELS, USERS["gauss"]], ids=[*KERNELS, "gauss"])
def test_first_and_second_derivatives_are_right(kernel: str | Kernel, padding: str) -> None:
    images, grid = images_and_grid((4, 5), reach=1.4)
    grid = away_from_kinks(grid[:, :2, :2], (4, 5))
    arguments = (images.requires_grad_(), grid.requires_grad_())

    def sampled(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return sample(images, grid, kernel, padding, background(padding))

    assert torch.autograd.gradcheck(sampled, arguments)
    assert torch.autograd.gradgradcheck(sampled, arguments)


def test_a_hook_on_the_images_runs_once_in_a_second_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolation, "NATIVE_SECOND_DERIVATIVE", False)
    images, grid = images_and_grid((4, 4), reach=0.9)  # a size that is sampled without a copy
    images.requires_grad_().register_hook(lambda gradient: 2 * gradient)
    sampled = sample(images, grid.requires_grad_()).square().sum()
    (expected,) = torch.autograd.grad(sampled, images, retain_graph=True)
    (slope,) = torch.autograd.grad(sampled, images, create_graph=True)
    torch.testing.assert_close(slope, expected)


@pytest.mark.parametrize("transform", ["affine", "projective", "thin_plate_spline"])
def test_derivatives_with_respect_to_theta_are_right(transform: str) -> None:
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(1, 1, 6, 6, generator=generator, dtype=torch.float64)
    theta = TRANSFORMS[transform]().identity().double()[None]
    theta = theta * 0.83 + 0.05 * torch.rand(theta.shape, generator=generator, dtype=torch.float64)

    def straightened(theta: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        return sample(images, sampling_grid(transform, theta, (3, 3)))

    assert torch.autograd.gradcheck(straightened, (theta.requires_grad_(), images.requires_grad_()))
    assert torch.autograd.gradgradcheck(straightened, (theta, images))


def test_functional_derivatives_are_those_of_autograd() -> None:
    images, grid = images_and_grid()
    slope = torch.func.grad(lambda grid: sample(images, grid).square().sum())(grid)
    (expected,) = torch.autograd.grad(sample(images, grid.requires_grad_()).square().sum(), grid)
    torch.testing.assert_close(slope, expected)


def test_an_image_that_asks_for_no_gradient_gets_none() -> None:
    images, grid = images_and_grid()
    grid.requires_grad_()
    calls = []
    sampled = sample(images, grid)
    backward = next(node for node in _nodes(sampled.grad_fn) if "GridSample" in type(node).__name__)
    backward.register_hook(lambda found, _: calls.append(found))
    sampled.sum().backward()
    assert calls[0][0] is None and calls[0][1] is not None
    assert images.grad is None


def _nodes(node: torch.autograd.graph.Node | None) -> list[torch.autograd.graph.Node]:
    return [] if node is None else [node, *(found for parent, _ in node.next_functions for found in _nodes(parent))]


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.sampled_from(["bilinear", "bicubic", "catmull_rom"]))
def test_a_linear_ramp_is_sampled_exactly_inside(x: float, y: float, name: str) -> None:
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    grid = torch.tensor([[[[x * 0.5, y * 0.5]]]], dtype=torch.float64)
    expected = 2 * (x * 0.5 * 11 + 10) / 2 + 3 * (y * 0.5 * 9 + 8) / 2
    found = sample((2 * columns + 3 * rows)[None, None].double(), grid, name).item()
    if name == "bicubic":  # a = -0.75 is sharper than a straight line, by at most this
        assert abs(found - expected) < 5 * 0.125
    else:
        assert abs(found - expected) < 1e-9


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("name", KERNELS)
def test_absurdly_far_points_and_their_gradients_are_harmless(name: str, padding: str) -> None:
    for size in ((9, 8), (64, 64)):  # sampled from a copy, and in place
        images = torch.rand(1, 2, *size, requires_grad=True)
        for scale in (1e9, 1e18):
            theta = torch.tensor([[scale, 0.9 * scale, -0.3 * scale]], requires_grad=True)
            generator = GridGenerator("attention", (7, 6))
            sampled = warp(images, theta, generator, name, padding, background(padding))
            torch.autograd.grad(sampled.sum(), (images, theta))
            assert sampled.isfinite().all()
            grid = torch.full((1, 2, 2, 2), scale, requires_grad=True)
            torch.autograd.grad(sample(images, grid, name, padding, background(padding)).sum(), (images, grid))


@pytest.mark.parametrize("support", [0.0, -1.0, 17.0])
def test_a_support_out_of_range_is_refused(support: float) -> None:
    with pytest.raises(ValueError, match="support must be above 0 and at most 16 pixels, got"):
        Kernel(torch.ones_like, support=support)
