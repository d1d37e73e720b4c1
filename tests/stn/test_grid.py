import pytest
import torch

from stn import TRANSFORMS, lattice, outline, sampling_grid


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
    with pytest.raises(ValueError, match="transform must be one of affine, attention, similarity, got 'afine'"):
        sampling_grid("afine", torch.zeros(1, 6), (5, 9))


def test_an_empty_output_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be"):
        sampling_grid("affine", torch.zeros(1, 6), (0, 9))
