import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.perspective import UNTOUCHED, homography_from_corners


def corners(seed: int, count: int, sigma: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    noise = torch.randn(count, 4, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return torch.tensor(UNTOUCHED, dtype=dtype) + sigma * noise


def apply(matrix: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    mapped = matrix @ torch.cat([points, torch.ones_like(points[..., :1])], dim=-1).mT
    return (mapped[:, :2] / mapped[:, 2:]).mT


@settings(deadline=None)  # torch prepares its linear algebra at the first call
@given(seed=st.integers(0, 1000), sigma=st.floats(0.01, 0.4))
def test_the_homography_takes_moved_corners_back(seed: int, sigma: float) -> None:
    moved = corners(seed, 8, sigma)
    mapped = apply(homography_from_corners(moved), moved)
    # Near a corner whose divisor is close to 0 the rounding error of 1e-16 is enlarged; not a thousand million times.
    torch.testing.assert_close(
        mapped, torch.tensor([UNTOUCHED], dtype=torch.float64).expand(8, -1, -1), atol=1e-7, rtol=0
    )


def test_it_is_the_matrix_that_a_linear_solver_finds() -> None:
    moved = corners(0, 20, 0.2)
    for quad, found in zip(moved, homography_from_corners(moved), strict=True):
        rows, right = [], []
        for (x, y), (u, v) in zip(quad.tolist(), UNTOUCHED, strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
            right += [u, v]
        solved = torch.linalg.solve(*(torch.tensor(part, dtype=torch.float64) for part in (rows, right)))
        torch.testing.assert_close((found / found[2, 2]).flatten()[:8], solved)


def test_corners_that_stay_give_the_identity_to_the_bit() -> None:
    assert torch.equal(homography_from_corners(corners(0, 2, 0.0, torch.float32)), torch.eye(3).expand(2, -1, -1))


def test_float32_is_precise_to_a_thousandth_of_a_pixel() -> None:
    moved = corners(1, 500, 0.2)  # sigma of 2.8 pixels in 28: no corner comes near the line that goes to infinity
    exact, rough = homography_from_corners(moved), homography_from_corners(moved.float()).double()
    inside = torch.rand(500, 50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    difference = (apply(exact, inside) - apply(rough, inside)).abs() * 14
    assert difference.quantile(0.999) < 1e-3


def test_degenerate_corners_stay_finite() -> None:
    on_a_point, on_a_line = torch.zeros(1, 4, 2), torch.tensor([[[-1.0, 0.0], [1.0, 0.0], [0.5, 0.0], [-0.5, 0.0]]])
    far = corners(0, 1000, 500.0, torch.float32)
    for moved in (on_a_point, on_a_line, far, torch.zeros(0, 4, 2)):
        matrix = homography_from_corners(moved)
        assert matrix.shape == (len(moved), 3, 3)
        assert matrix.isfinite().all()
