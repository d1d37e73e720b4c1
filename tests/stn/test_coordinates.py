from typing import Any

import pytest
import torch

from stn import from_pixels, lattice, to_pixels
from tests.stn.unchecked import unchecked


def test_lattice_holds_the_pixel_centres_row_by_row() -> None:
    points = to_pixels(lattice((2, 3)), (2, 3))
    expected = [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]
    torch.testing.assert_close(points, torch.tensor(expected))


def test_from_pixels_undoes_to_pixels() -> None:
    points = torch.rand(5, 2, dtype=torch.float64) * 4 - 2
    torch.testing.assert_close(from_pixels(to_pixels(points, (7, 13)), (7, 13)), points)


def test_lattice_takes_the_asked_dtype() -> None:
    assert lattice((3, 3), dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize("size", [(0, 3), (3, 0)])
def test_an_empty_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"size must be \(height, width\) of at least \(1, 1\), got"):
        lattice(size)


@pytest.mark.parametrize("size", [(0, 0), (3,), 3])
def test_points_of_an_image_that_cannot_be_are_refused(size: Any) -> None:
    for function in (to_pixels, from_pixels):
        with unchecked(), pytest.raises(ValueError, match=r"size must be \(height, width\) of at least \(1, 1\), got"):
            function(torch.zeros(1, 2), size)
