"""The sums by column and row against the product that they stand for."""

import pytest
import torch

from stn import TRANSFORMS, GridGenerator, MatrixTransform, lattice
from stn.transforms import lattice as sums

MATRIX_TRANSFORMS = [name for name, kind in TRANSFORMS.items() if issubclass(kind, MatrixTransform)]
SCALE, SHIFT = (0.875, 0.75), (-0.125, 0.0625)


@pytest.fixture(autouse=True)
def at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "FEWEST_POINTS", 0)


def make(name: str) -> tuple[GridGenerator, torch.Tensor]:
    generator = GridGenerator(name, (5, 7)).double()
    noise = torch.randn(3, len(generator.transform.parameter_names), generator=torch.Generator().manual_seed(0))
    return generator, (generator.transform.identity() + 0.1 * noise).double().requires_grad_()


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:FutureWarning"
)  # of torch's forward derivatives, about themselves
@pytest.mark.parametrize("name", MATRIX_TRANSFORMS)
def test_points_and_derivatives_are_those_of_the_transform(name: str) -> None:
    generator, theta = make(name)
    towards = torch.randn(3, 5, 7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    centres = lattice((5, 7), dtype=torch.float64).expand(3, -1, -1)
    expected = generator.transform(theta, centres).unflatten(1, (5, 7))
    torch.testing.assert_close(generator(theta), expected)
    for gradient in (towards, towards.movedim(-1, 1).contiguous().movedim(1, -1)):
        torch.testing.assert_close(
            torch.autograd.grad(generator(theta), theta, gradient), torch.autograd.grad(expected, theta, gradient, True)
        )
    assert torch.autograd.gradcheck(generator, theta, check_batched_grad=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(generator, theta, check_batched_grad=True)


@pytest.mark.parametrize("name", MATRIX_TRANSFORMS)
@pytest.mark.parametrize("vectorize", [False, True])
def test_jacobians_are_those_of_the_transform(name: str, vectorize: bool) -> None:
    generator, theta = make(name)
    centres = lattice((5, 7), dtype=torch.float64).expand(3, -1, -1)
    found, expected = (
        torch.autograd.functional.jacobian(function, theta.detach(), vectorize=vectorize)
        for function in (generator, lambda theta: generator.transform(theta, centres).unflatten(1, (5, 7)))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", MATRIX_TRANSFORMS)
def test_points_scaled_and_shifted_have_the_derivatives_of_unrounded_ones(name: str) -> None:
    generator, theta = make(name)

    def rounded(theta: torch.Tensor) -> torch.Tensor:
        return generator.transform.place_rounded(theta, generator.get(theta), generator.size, SCALE, SHIFT)

    scale, shift = (torch.tensor(values, dtype=torch.float64) for values in (SCALE, SHIFT))
    expected = (generator(theta) * scale + shift).permute(0, 3, 1, 2)
    torch.testing.assert_close(rounded(theta), expected, atol=2.0**-50, rtol=0)
    towards = torch.randn(3, 2, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(rounded(theta), theta, towards), torch.autograd.grad(expected, theta, towards)
    )
    assert torch.autograd.gradgradcheck(rounded, theta, check_batched_grad=True)


@pytest.mark.parametrize("name", MATRIX_TRANSFORMS)
def test_a_hook_on_the_coefficients_runs_once_in_a_second_derivative(name: str) -> None:
    generator, theta = make(name)
    coefficients = generator.transform.coefficients(theta).detach().requires_grad_()
    coefficients.register_hook(lambda gradient: 2 * gradient)
    placed = sums.locate_lattice(coefficients, generator.get(theta), (5, 7))
    (slope,) = torch.autograd.grad(placed.sum(), coefficients, create_graph=True)
    (expected,) = torch.autograd.grad(placed.sum(), coefficients)
    torch.testing.assert_close(slope, expected)


def test_a_divisor_that_passes_zero_within_the_output_gives_finite_points_and_gradients() -> None:
    generator = GridGenerator("projective", (5, 7))
    theta = torch.tensor([[1.0, 0, 0, 0, 1, 0, -7 / 6, 0.0]], requires_grad=True)  # zero at the last column
    grid = generator(theta)
    assert grid.isfinite().all()
    assert grid[0, :, -1, 0].min() > 100
    assert torch.autograd.grad(grid.sum(), theta)[0].isfinite().all()


def test_an_empty_batch_has_an_empty_grid() -> None:
    for name in MATRIX_TRANSFORMS:
        generator = GridGenerator(name, (5, 7))
        assert generator(torch.zeros(0, len(generator.transform.parameter_names))).shape == (0, 5, 7, 2)
