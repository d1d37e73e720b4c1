from inspect import unwrap

import pytest
import torch

from stn import TRANSFORMS, GridGenerator, lattice, outline, sampling_grid
from stn.coordinates import check_size


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_identity_grid_is_the_lattice(name: str) -> None:
    theta = TRANSFORMS[name]().identity().expand(2, -1)
    grid = sampling_grid(name, theta, (5, 9))
    assert grid.shape == (2, 5, 9, 2)
    assert torch.equal(grid[1].flatten(0, 1), lattice((5, 9)))


def test_the_affine_grid_is_torchs() -> None:
    theta = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.nn.functional.affine_grid(theta.view(3, 2, 3), [3, 1, 5, 9], align_corners=False)
    torch.testing.assert_close(sampling_grid("affine", theta, (5, 9)), expected)


def test_the_outline_has_the_outer_corners_of_the_sampled_region() -> None:
    corners = outline(TRANSFORMS["attention"](), torch.tensor([[0.5, 0.1, -0.2]]))
    expected = torch.tensor([[[-0.4, -0.7], [0.6, -0.7], [0.6, 0.3], [-0.4, 0.3]]])
    torch.testing.assert_close(corners, expected)


def test_an_unknown_transform_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="transform must be one of affine, attention, projective, .*, got 'afine'"):
        sampling_grid("afine", torch.zeros(1, 6), (5, 9))


def test_an_empty_output_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be"):
        sampling_grid("affine", torch.zeros(1, 6), (0, 9))


def test_a_generator_that_was_built_without_memory_gets_its_constants_with_it() -> None:
    with torch.device("meta"):
        generator = GridGenerator("thin_plate_spline", (5, 7))
    assert generator.values.is_meta
    theta = generator.transform.identity()[None]
    assert torch.equal(generator.to_empty(device="cpu")(theta), GridGenerator("thin_plate_spline", (5, 7))(theta))


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (4,), (4, 4, 4), (2.5, 4)])
def test_a_size_that_is_none_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"size must be \(height, width\) of at least \(1, 1\), got \("):
        unwrap(check_size)(size)  # without the tests' shape checks


def test_the_outline_of_a_spline_passes_through_its_outer_control_points() -> None:
    spline = TRANSFORMS["thin_plate_spline"]()
    theta = spline.identity()[None] + 0.1 * torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    border = outline(spline, theta)
    assert border.shape == (1, 64, 2)
    for index, corner in ((0, 0), (16, 3), (32, 15), (48, 12)):  # clockwise from the upper left
        torch.testing.assert_close(border[0, index], theta[0, 2 * corner : 2 * corner + 2], atol=1e-5, rtol=0)


def test_float16_parameters_give_a_float32_grid() -> None:
    theta = torch.tensor([[0.5, 0.0, 0.0]], dtype=torch.float16)
    assert sampling_grid("attention", theta, (4, 4)).dtype == torch.float32
